//! What is asked: every read of the published API that tells of applications, regions and room, in each variant whose
//! answer has another shape or another choice. A name is the file's.

use crate::world::World;
use ensemble_tests::forge::Draft;

/// Where DescribeApplication's JSON in a string is.
const APPLICATION: &str = "/Application";

pub(crate) struct Read {
    pub(crate) name: String,
    pub(crate) call: Draft,
    pub(crate) status: u16,
    /// Of a member that holds JSON in a string.
    pub(crate) inner: Option<&'static str>,
}

/// `variant` tells it from other calls of the action.
fn read(action: &str, variant: &str, parameters: &[(&str, &str)]) -> Read {
    let name = format!("{action}.{variant}");
    Read { name, call: Draft::of(action, parameters), status: 200, inner: None }
}

impl Read {
    fn holding(mut self, inner: &'static str) -> Self {
        self.inner = Some(inner);
        self
    }

    fn refused(mut self) -> Self {
        self.status = 400;
        self
    }
}

pub(crate) fn all(world: &World) -> Vec<Read> {
    let mut reads = applications(world);
    reads.extend(lists());
    reads.extend(devices(world));
    reads.extend(regions());
    reads.extend(districts());
    reads.extend(room());
    reads
}

fn applications(world: &World) -> Vec<Read> {
    const ACTION: &str = "DescribeApplication";
    const NOTHING: &str = r#"{"appInfo":false,"detailStat":false}"#;
    const NO_DISTRICTS: &str = r#"{"appInfo":false,"districtStat":false}"#;
    const NO_INSTANCES: &str = r#"{"appInfo":false,"instanceStat":false}"#;
    const NO_VERSIONS: &str = r#"{"appVersionStat":false}"#;
    const NO_PODS: &str = r#"{"appInfo":false,"podCountStat":false}"#;
    const SHANGHAI: &str = r#"[{"regionCode":"310100","count":9}]"#;
    const UNICOM_OR_ABROAD: &str = r#"[{"ispCode":"unicom"},{"regionCode":"sg-singapore-9"}]"#;
    let app = ("AppId", world.app_id.as_str());
    let describe = |variant: &str, more: &[(&str, &str)]| {
        read(ACTION, variant, &[&[app], more].concat()).holding(APPLICATION)
    };
    vec![
        describe("National", &[]),
        describe("Big", &[("Level", "Big")]),
        describe("Middle", &[("Level", "Middle")]),
        describe("Small", &[("Level", "Small")]),
        describe("RegionId", &[("Level", "RegionId"), ("AppVersions", "All")]),
        describe("version-unknown", &[("AppVersions", "v7,v8")]),
        describe("flags-nothing", &[("OutDetailStatParams", NOTHING)]),
        describe("flags-no-versions", &[("OutDetailStatParams", NO_VERSIONS)]),
        describe("flags-no-districts", &[("OutDetailStatParams", NO_DISTRICTS)]),
        describe("flags-no-instances", &[("OutDetailStatParams", NO_INSTANCES), ("Level", "RegionId")]),
        describe("flags-no-pods", &[("OutDetailStatParams", NO_PODS), ("Level", "RegionId")]),
        describe("filter-district", &[("ResourceSelector", SHANGHAI)]),
        describe("filter-any", &[("ResourceSelector", UNICOM_OR_ABROAD), ("Level", "RegionId")]),
        read(ACTION, "refused-unknown", &[("AppId", "none")]).refused(),
    ]
}

fn lists() -> Vec<Read> {
    const ACTION: &str = "ListApplications";
    const BRIEF: (&str, &str) = ("OutAppInfoParams", r#"{"appInfo":true,"appVersionStat":false}"#);
    const FIRST: &str = "/Applications/Application/0/AppList/App/0/AppInfo";
    let list = |variant: &str, more: &[(&str, &str)]| read(ACTION, variant, &[&[BRIEF], more].concat());
    vec![
        read(ACTION, "everything", &[]).holding(FIRST),
        list("flags", &[]).holding(FIRST),
        list("cluster", &[("ClusterNames", "pre,none")]).holding(FIRST),
        list("page-2-of-1", &[("PageNumber", "2"), ("PageSize", "1")]),
        list("page-past-the-end", &[("PageNumber", "9"), ("PageSize", "1")]),
        list("page-number-only", &[("PageNumber", "1")]),
        list("dates-before", &[("MaxDate", "2000-01-01")]),
        list("dates-around", &[("MinDate", "2000-01-01"), ("MaxDate", "2999-12-31")]),
        read(ACTION, "refused-date", &[("MinDate", "2000-13-01")]).refused(),
    ]
}

fn devices(world: &World) -> Vec<Read> {
    const ACTION: &str = "DescribeDeviceService";
    vec![
        read(ACTION, "application", &[("AppId", &world.app_id)]),
        read(ACTION, "instance", &[("InstanceId", &world.instance_id)]),
        read(ACTION, "order-on-node", &[("OrderId", &world.order_id), ("RegionId", "sg-singapore-9")]),
        read(ACTION, "node", &[("RegionId", "cn-shanghai-cmcc")]),
        read(ACTION, "node-without", &[("AppId", &world.app_id), ("RegionId", "cn-dalian-unicom")]),
        read(ACTION, "refused-nothing-asked", &[("RegionId", "cn-hangzhou")]).refused(),
    ]
}

fn regions() -> Vec<Read> {
    vec![
        read("DescribeEnsRegions", "all", &[]),
        read("DescribeEnsRegions", "one", &[("EnsRegionId", "cn-wuxi-telecom_unicom_cmcc-3")]),
        read("DescribeEnsRegions", "refused-unknown", &[("EnsRegionId", "cn-wuxi")]).refused(),
        read("DescribeRegionIsps", "all", &[]),
        read("DescribeRegionIsps", "one", &[("EnsRegionId", "cn-dalian-unicom")]),
        read("DescribeRegionIsps", "none", &[("EnsRegionId", "sg-singapore-9")]),
        read("DescribeRegionIsps", "refused-unknown", &[("EnsRegionId", "cn-dalian-unicorn")]).refused(),
    ]
}

fn districts() -> Vec<Read> {
    const ACTION: &str = "DescribeEnsNetDistrict";
    const SALE: &str = "DescribeEnsNetSaleDistrict";
    let (big, under) = (("NetLevelCode", "Big"), |code| ("NetDistrictCode", code));
    vec![
        read("DescribeEnsNetLevel", "all", &[]),
        read(ACTION, "Big", &[big]),
        read(ACTION, "Middle", &[("NetLevelCode", "Middle")]),
        read(ACTION, "Small", &[("NetLevelCode", "Small"), ("NetDistrictCodeNode", "true")]),
        read(ACTION, "under-an-area", &[big, under("100103")]),
        read(ACTION, "under-a-city", &[big, under("310100")]),
        read(ACTION, "refused-missing", &[]).refused(),
        read(ACTION, "refused-level", &[("NetLevelCode", "big")]).refused(),
        read(ACTION, "refused-unknown", &[big, under("100108")]).refused(),
        read(SALE, "Big", &[big]),
        read(SALE, "Small", &[("NetLevelCode", "Small")]),
        read(SALE, "under-an-area", &[big, under("100103")]),
    ]
}

fn room() -> Vec<Read> {
    const SUMMARY: &str = "DescribeApplicationResourceSummary";
    const RESOURCE: &str = "/ApplicationResource";
    let summary = |variant: &str, more: &[(&str, &str)]| read(SUMMARY, variant, more).holding(RESOURCE);
    vec![
        read("DescribeAvailableResource", "all", &[]),
        read("DescribeAvailableResourceInfo", "all", &[]),
        summary("National", &[]),
        summary("Small", &[("Level", "Small")]),
        summary("RegionId", &[("Level", "RegionId"), ("ResourceType", "Ens")]),
        summary("other-type", &[("ResourceType", "BareMetal-Arm")]),
    ]
}
