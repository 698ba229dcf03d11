//! Parameters whose form is wrong: absent, of the wrong type, out of range, repeated, too many or too long.

use crate::stage::{Case, FORM, Stage, answered, refused};
use ensemble_tests::forge::Draft;

#[test]
fn a_parameter_of_the_wrong_form_is_refused_by_its_name() {
    let stage = Stage::set();
    let mut cases = rescale_cases(&stage);
    cases.extend(repeated_cases(&stage));
    cases.extend(action_cases(&stage));
    cases.extend(reading_cases(&stage));

    stage.play(cases);
}

fn rescale_cases(stage: &Stage) -> Vec<Case> {
    let long = "x".repeat(10 << 10);
    let rows = [
        ("no AppId", "AppId", "", "MissingParameter"),
        ("an AppId of 10 KiB", "AppId", long.as_str(), "InvalidParameter.AppId"),
        (
            "an AppId that is not there",
            "AppId",
            "00000000-0000-4000-8000-000000000000",
            "ens.interface.error",
        ),
        ("an AppId that is a path", "AppId", "../../etc/passwd", "ens.interface.error"),
        ("an AppId that is SQL", "AppId", "' OR 1=1; DROP TABLE log; --", "ens.interface.error"),
        ("no type", "RescaleType", "", "MissingParameter"),
        ("a type in another case", "RescaleType", "add", "InvalidParameter.RescaleType"),
        ("a type of 10 KiB", "RescaleType", long.as_str(), "InvalidParameter.RescaleType"),
        ("an unknown level", "RescaleLevel", "Planet", "InvalidParameter.RescaleLevel"),
        ("a level that the selector is not of", "RescaleLevel", "InstanceId", "InvalidParameter"),
        ("a level that is a JSON array", "RescaleLevel", "[\"RegionId\"]", "InvalidParameter.RescaleLevel"),
        ("no selector", "ResourceSelector", "", "MissingParameter"),
        ("an unknown version", "ToAppVersion", "v9", "InvalidParameter.ToAppVersion"),
        ("a version of 10 KiB", "ToAppVersion", long.as_str(), "InvalidParameter.ToAppVersion"),
        ("a timeout of nothing", "Timeout", "0", "InvalidParameter.Timeout"),
        ("a negative timeout", "Timeout", "-300", "InvalidParameter.Timeout"),
        ("a fractional timeout", "Timeout", "1.5", "InvalidParameter.Timeout"),
        ("a timeout with an exponent", "Timeout", "1e9", "InvalidParameter.Timeout"),
        ("a timeout over a day", "Timeout", "86401", "InvalidParameter.Timeout"),
        ("a timeout over 64 bits", "Timeout", "99999999999999999999999", "InvalidParameter.Timeout"),
        ("a hexadecimal timeout", "Timeout", "0x10", "InvalidParameter.Timeout"),
        ("a timeout with a plus", "Timeout", "+300", "InvalidParameter.Timeout"),
        ("a timeout with a space", "Timeout", " 300", "InvalidParameter.Timeout"),
        ("a timeout in full-width digits", "Timeout", "３００", "InvalidParameter.Timeout"),
        ("a timeout that is not a number", "Timeout", "NaN", "InvalidParameter.Timeout"),
        ("a timeout of only a minus", "Timeout", "-", "InvalidParameter.Timeout"),
        ("a timeout of 10 KiB", "Timeout", long.as_str(), "InvalidParameter.Timeout"),
        ("a token of 10 KiB", "ClientToken", long.as_str(), "InvalidParameter.ClientToken"),
        ("a negative revision", "IfRevision", "-1", "InvalidParameter.IfRevision"),
        ("a revision over 64 bits", "IfRevision", "9223372036854775808", "InvalidParameter.IfRevision"),
        ("a revision that is not the current one", "IfRevision", "999999", "InvalidParameter.IfRevision"),
        ("a flag that is no flag", "AllowPartial", "yes", "InvalidParameter.AllowPartial"),
        ("a flag in another case", "AllowPartial", "TRUE", "InvalidParameter.AllowPartial"),
        ("a plan that was never made", "IfPlan", "deadbeef", "InvalidParameter.IfPlan"),
    ];
    let case = |(name, parameter, value, code): (&str, &str, &str, &str)| {
        refused(name, &stage.v3(&stage.rescale().with(parameter, value)), code)
    };
    rows.into_iter().map(case).collect()
}

fn repeated_cases(stage: &Stage) -> Vec<Case> {
    let rescale = stage.rescale();
    let in_form = |pairs: &str| rescale.clone().body(FORM, pairs);
    let crowd: Vec<(String, String)> = (0..1_000).map(|at| (format!("P{at}"), String::new())).collect();
    let crowded = |count: usize| {
        let mut draft = stage.describe();
        draft.parameters.extend_from_slice(&crowd[..count]);
        draft
    };
    vec![
        refused(
            "a name twice in the query",
            &stage.v3(&rescale).also("RescaleType=Del"),
            "InvalidParameter.RescaleType",
        ),
        refused(
            "the same value twice",
            &stage.v3(&rescale).also("RescaleType=Add"),
            "InvalidParameter.RescaleType",
        ),
        refused(
            "a name in query and form",
            &stage.v3(&in_form("RescaleType=Del")),
            "InvalidParameter.RescaleType",
        ),
        refused(
            "a name twice in the form",
            &stage.v3(&in_form("Timeout=1&Timeout=2")),
            "InvalidParameter.Timeout",
        ),
        refused(
            "a name in query and JSON body",
            &stage.v3(&rescale.clone().body("application/json", r#"{"Timeout":1,"RescaleType":"Del"}"#)),
            "InvalidParameter.RescaleType",
        ),
        refused("a name twice in V1", &stage.v1(&rescale).also("AppId=other"), "InvalidParameter.AppId"),
        refused(
            "two actions in V1",
            &stage.v1(&rescale).also("Action=DeleteApplication"),
            "InvalidParameter.Action",
        ),
        refused(
            "two signatures of V1",
            &stage.v1(&rescale).also("Signature=AAAA"),
            "InvalidParameter.Signature",
        ),
        refused(
            "a repeated name that is no name",
            &stage.v3(&rescale).also("a%0D%0Ab=1&a%0D%0Ab=2"),
            "InvalidParameter.a__b",
        ),
        answered("a thousand parameters", &stage.v3(&crowded(900))),
        refused("more than a thousand parameters", &stage.v3(&crowded(1_000)), "InvalidParameter"),
    ]
}

fn action_cases(stage: &Stage) -> Vec<Case> {
    let key = |name: &str, action: &str, code: &str| {
        refused(name, &stage.v3(&Draft::of(action, &[])), code).with_status(404)
    };
    let long = "Rescale".repeat(1_000);
    vec![
        key("an unknown action", "RescaleUniverse", "InvalidAction.NotFound"),
        key("an action in another case", "rescaleApplication", "InvalidAction.NotFound"),
        key("an action of 7 KiB", &long, "InvalidAction.NotFound"),
        refused("no action", &stage.v3(&stage.describe().omit("x-acs-action")), "MissingAction"),
        refused("no version", &stage.v3(&stage.describe().omit("x-acs-version")), "MissingVersion"),
        refused(
            "another version",
            &stage.v3(&stage.describe().say("x-acs-version", "2014-05-26")),
            "InvalidVersion",
        ),
        refused("no action in V1", &stage.v1(&stage.describe().omit("Action")), "MissingAction"),
        refused(
            "another version in V1",
            &stage.v1(&stage.describe().say("Version", long.as_str())),
            "InvalidVersion",
        ),
        refused(
            "an unknown format",
            &stage.v1(&stage.describe().say("Format", "YAML")),
            "InvalidParameter.Format",
        )
        .in_xml(),
    ]
}

/// One parameter of an action that reads, and nothing else.
fn reading_cases(stage: &Stage) -> Vec<Case> {
    let list = "ListApplications";
    let rows = [
        ("page 0", list, "PageNumber", "0", "InvalidParameter.PageNumber"),
        ("a page over 31 bits", list, "PageSize", "2147483648", "InvalidParameter.PageSize"),
        ("a day that is none", list, "MinDate", "2022-02-30", "InvalidParameter.MinDate"),
        ("a year with five digits", list, "MaxDate", "12022-02-3", "InvalidParameter.MaxDate"),
        ("flags that are no object", list, "OutAppInfoParams", "[]", "InvalidParameter.OutAppInfoParams"),
        ("a flag of the wrong type", list, "OutAppInfoParams", r#"{"appInfo":1}"#, "InvalidParameter"),
        ("a level, and no application", "DescribeApplication", "Level", "Huge", "MissingParameter"),
        ("devices of nothing", "DescribeDeviceService", "ServiceId", "s", "MissingParameter"),
        ("an unknown edge node", "DescribeEnsRegions", "EnsRegionId", "cn-x", "InvalidParameter.EnsRegionId"),
        ("an operation that is not there", "DescribeOperation", "OperationId", "X", "ens.interface.error"),
        ("a stream of nothing", "Watch", "Since", "1", "MissingParameter"),
        ("logs of nothing", "DescribeInstanceLogs", "InstanceId", "i-none", "ens.interface.error"),
    ];
    let case = |(name, action, parameter, value, code): (&str, &str, &str, &str, &str)| {
        refused(name, &stage.v3(&Draft::of(action, &[(parameter, value)])), code)
    };
    rows.into_iter().map(case).collect()
}
