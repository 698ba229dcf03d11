//! The template of CreateApplication: the documentation's example is read, and every rule of ens-api.md §2.1 and
//! decisions.md §6.1 refuses by the path of what broke it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use ensemble_wire::template::{AreaLevel, BoundPorts, Port, Probe, Question, Strategy, Template};
use serde_json::{Value, json};

fn example() -> Value {
    json!({
        "appMetaData": { "appName": "nginx", "clusterName": "poc", "appType": "Common", "description": "test" },
        "resourceAttribute": {
            "resourceType": "", "instanceSpec": "ens.sn1.tiny", "systemDiskSize": 20, "dataDiskSize": 0,
            "bandwithOut": 10, "areaLevel": "National", "netSecurityStrategy": null, "initConfig": null
        },
        "resourceSelector": [{ "count": 1 }],
        "workload": [{
            "podCount": 1, "serviceConfig": null, "name": "nginx",
            "podSpec": { "containers": [{ "name": "android", "image": "edge-registry.alicdn.com/test/nginx" }] },
            "count": 1
        }]
    })
}

/// The example with one value put at a JSON pointer, objects on the way made as needed.
fn with(pointer: &str, value: Value) -> Value {
    let mut template = example();
    let mut at = &mut template;
    let (way, last) = pointer.rsplit_once('/').unwrap();
    for step in way.split('/').filter(|step| !step.is_empty()) {
        at = match step.parse::<usize>() {
            Ok(index) => &mut at[index],
            Err(_) => &mut at[step],
        };
    }
    at[last] = value;
    template
}

fn inside(key: &str, value: Value) -> Value {
    with(&format!("/workload/0/podSpec/containers/0/{key}"), value)
}

fn refusal(template: &Value) -> String {
    let error = Template::read(template).unwrap_err();
    assert_eq!(error.code.as_text(), "InvalidParameter");
    let message = error.message.strip_prefix("The errorMessage is ").unwrap();
    message.strip_suffix(". Please check it again.").unwrap().to_owned()
}

#[test]
fn the_documented_example_is_read() {
    let template = Template::read(&example()).unwrap();

    assert_eq!(template.app_name, "nginx");
    assert_eq!((template.cluster_name.as_str(), template.app_version.as_str()), ("poc", "v1"));
    assert_eq!(template.resources.resource_type, "Ens");
    assert_eq!(template.resources.resource_agent, "Linux");
    assert_eq!(template.resources.area_level, AreaLevel::National);
    assert_eq!(template.resources.strategy, Strategy::Disperse);
    assert_eq!(template.selector.items().unwrap().len(), 1);
    assert_eq!(template.workloads[0].containers[0].image, "edge-registry.alicdn.com/test/nginx");
}

#[test]
fn what_is_left_out_has_its_default() {
    let least = json!({
        "appMetaData": { "appName": "a" },
        "resourceAttribute": { "instanceSpec": "ens.sn1.tiny" },
        "workload": [{ "name": "w", "podSpec": { "containers": [{ "name": "c", "image": "oci:/x" }] } }],
        "unknown": { "is": "ignored" }
    });

    let template = Template::read(&least).unwrap();

    assert_eq!(template.cluster_name, "default");
    assert_eq!(template.resources.system_disk_gb, 20);
    assert_eq!(template.resources.bandwidth_out_mbit, 10);
    assert_eq!(template.resources.ip_type, "PublicIP");
    assert!(template.selector.items().unwrap().is_empty());
    assert_eq!(template.workloads[0].pod_count, 1);
}

#[test]
fn a_container_is_read_whole() {
    let container = json!({
        "name": "c", "image": "oci:/images/hello", "command": ["/hello"], "args": ["-p", "8080"],
        "env": [{ "name": "A", "value": "1" }, { "name": "B" }], "workingDir": "/srv",
        "ports": [{ "containerPort": 8080 }, { "containerPort": 53, "protocol": "UDP" }]
    });

    let template = Template::read(&with("/workload/0/podSpec/containers", json!([container]))).unwrap();

    let read = &template.workloads[0].containers[0];
    assert_eq!(read.args, ["-p", "8080"]);
    assert_eq!(read.env, [("A".to_owned(), "1".to_owned()), ("B".to_owned(), String::new())]);
    assert_eq!(read.ports[1], Port { container_port: 53, protocol: "UDP" });
}

fn check(cases: &[(Value, &str)]) {
    for (template, expected) in cases {
        let refusal = refusal(template);
        assert!(refusal.starts_with(expected), "expected: {expected}\n     got: {refusal}");
    }
}

#[test]
fn rules_of_name_and_resources_refuse_by_path() {
    check(&[
        (json!({}), "Template.appMetaData is required"),
        (with("/appMetaData", json!([])), "Template.appMetaData is not an object"),
        (with("/appMetaData/appName", json!(null)), "Template.appMetaData.appName is required"),
        (with("/appMetaData/appName", json!("Nginx")), "Template.appMetaData.appName `Nginx` is not"),
        (with("/appMetaData/appName", json!("-a")), "Template.appMetaData.appName `-a` is not"),
        (with("/appMetaData/clusterName", json!("a b")), "Template.appMetaData.clusterName `a b` is not"),
        (
            with("/appMetaData/appType", json!("common")),
            "Template.appMetaData.appType `common` is not one of Common, Scheduler; did you mean Common?",
        ),
        (with("/appMetaData/appVersion", json!("-1")), "Template.appMetaData.appVersion `-1` is not"),
        (
            with("/appMetaData/description", json!("x".repeat(257))),
            "Template.appMetaData.description has over 256",
        ),
        (
            with("/resourceAttribute/instanceSpec", json!("")),
            "Template.resourceAttribute.instanceSpec is empty",
        ),
        (
            with("/resourceAttribute/systemDiskSize", json!(10)),
            "Template.resourceAttribute.systemDiskSize 10 is not a whole number from 20",
        ),
        (
            with("/resourceAttribute/bandwithOut", json!(-1)),
            "Template.resourceAttribute.bandwithOut -1 is not",
        ),
        (
            with("/resourceAttribute/areaLevel", json!("Region")),
            "Template.resourceAttribute.areaLevel `Region` is not one of",
        ),
        (
            with("/resourceAttribute/initConfig", json!("x")),
            "Template.resourceAttribute.initConfig is not an object",
        ),
        (with("/resourceSelector", json!({})), "Template.resourceSelector is not an array"),
    ]);
}

#[test]
fn rules_of_workloads_refuse_by_path() {
    check(&[
        (with("/workload", json!([])), "Template.workload is empty"),
        (with("/workload/0/name", json!("A")), "Template.workload[0].name `A` is not"),
        (with("/workload/0/podCount", json!(2)), "Template.workload[0] says podCount 2 and count 1"),
        (
            with("/workload/0/podCount", json!(0)),
            "Template.workload[0].podCount 0 is not a whole number from 1 to 100",
        ),
        (with("/workload/0/podSpec", json!({})), "Template.workload[0].podSpec.containers is required"),
        (
            with("/workload/0/podSpec/containers", json!([])),
            "Template.workload[0].podSpec.containers is empty",
        ),
    ]);
}

#[test]
fn pod_spec_fields_that_are_not_understood_refuse_by_path() {
    check(&[
        (
            with("/workload/0/podSpec/restartPolicy", json!("Never")),
            "Template.workload[0].podSpec.restartPolicy `Never` is not one of Always",
        ),
        (
            with("/workload/0/podSpec/volumes", json!([])),
            "Template.workload[0].podSpec.volumes is not supported; the fields are containers, restartPolicy",
        ),
        (
            with("/workload/0/podSpec/hostNetwork", json!(false)),
            "Template.workload[0].podSpec.hostNetwork is refused",
        ),
        (with("/workload/0/podSpec/hostPID", json!(true)), "Template.workload[0].podSpec.hostPID is refused"),
        (
            with("/workload/0/podSpec/volumes", json!([{ "hostPath": { "path": "/" } }])),
            "Template.workload[0].podSpec.volumes[0].hostPath is refused",
        ),
        (
            inside("securityContext", json!({ "privileged": true })),
            "Template.workload[0].podSpec.containers[0].securityContext.privileged is refused",
        ),
        (
            with("/workload/0/podSpec/imagePullSecrets", json!([{ "name": "secret" }])),
            "Template.workload[0].podSpec.imagePullSecrets is not supported; the credentials of a registry belong to \
             the server's configuration, [registries.\"HOST\"]",
        ),
        (
            inside("imagePullPolicy", json!("Sometimes")),
            "Template.workload[0].podSpec.containers[0].imagePullPolicy `Sometimes` is not one of IfNotPresent, \
             Always, Never",
        ),
        (
            inside("comand", json!([])),
            "Template.workload[0].podSpec.containers[0].comand is not supported; did you mean command?",
        ),
    ]);
}

#[test]
fn every_pull_policy_is_accepted_and_changes_nothing() {
    let plain = Template::read(&example()).unwrap().workloads;

    for policy in ["Always", "IfNotPresent", "Never", ""] {
        let template = Template::read(&inside("imagePullPolicy", json!(policy))).unwrap();

        assert_eq!(template.workloads, plain, "{policy}");
    }
}

#[test]
fn rules_of_containers_refuse_by_path() {
    check(&[
        (inside("image", json!("")), "Template.workload[0].podSpec.containers[0].image is empty"),
        (
            inside("args", json!(["a\0"])),
            "Template.workload[0].podSpec.containers[0].args[0] contains a NUL character",
        ),
        (
            inside("workingDir", json!("srv")),
            "Template.workload[0].podSpec.containers[0].workingDir is not an absolute path",
        ),
        (
            inside("env", json!([{ "name": "A=B" }])),
            "Template.workload[0].podSpec.containers[0].env[0].name is empty or contains `=`",
        ),
        (
            inside("env", json!([{ "name": "A" }, { "name": "A" }])),
            "Template.workload[0].podSpec.containers[0].env[1].name `A` stands there twice",
        ),
        (
            inside("env", json!([{ "name": "A", "valueFrom": {} }])),
            "Template.workload[0].podSpec.containers[0].env[0].valueFrom is not supported",
        ),
        (
            inside("ports", json!([{ "containerPort": 0 }])),
            "Template.workload[0].podSpec.containers[0].ports[0].containerPort 0 is not",
        ),
        (
            inside("ports", json!([{ "containerPort": 1, "hostPort": 1 }])),
            "Template.workload[0].podSpec.containers[0].ports[0].hostPort is not supported",
        ),
        (
            with(
                "/workload/0/serviceConfig",
                json!({ "portsBindConfig": { "ports": [{ "startNodePorts": "80", "containerPorts": "80-80" }] } }),
            ),
            "Template.workload[0].serviceConfig.portsBindConfig.ports[0].startNodePorts `80` is not a range",
        ),
        (
            with(
                "/workload/0/serviceConfig",
                json!({ "portsBindConfig": { "ports": [{ "startNodePorts": "80-81", "containerPorts": "80-80" }] } }),
            ),
            "Template.workload[0].serviceConfig.portsBindConfig.ports[0] has ranges of unequal length",
        ),
    ]);
}

#[test]
fn a_readiness_probe_has_the_defaults_of_kubernetes() {
    let given = json!({ "httpGet": { "port": 8080, "scheme": "HTTP" } });
    let read = Template::read(&with("/workload/0/podSpec/containers/0/readinessProbe", given)).unwrap();

    let probe = Probe {
        question: Question::Http { port: 8080, path: "/".to_owned() },
        initial_delay_s: 0,
        period_s: 10,
        timeout_s: 1,
        success_threshold: 1,
        failure_threshold: 3,
    };
    assert_eq!(read.workloads[0].containers[0].readiness, Some(probe));
}

#[test]
fn a_probe_that_cannot_be_asked_is_refused_by_its_path() {
    let check = |given: Value, place: &str, why: &str| {
        let template = with("/workload/0/podSpec/containers/0/readinessProbe", given);
        let refused = refusal(&template);
        let expected = format!("Template.workload[0].podSpec.containers[0].readinessProbe{place} {why}");
        assert!(refused.starts_with(&expected), "expected: {expected}\n     got: {refused}");
    };
    let tcp = json!({ "port": 80 });
    let timed = |key: &str, value: u32| json!({ "tcpSocket": { "port": 80 }, key: value });
    check(json!(7), "", "is not an object");
    check(json!({}), "", "has neither httpGet nor tcpSocket");
    check(json!({ "httpGet": tcp, "tcpSocket": tcp }), "", "has httpGet and tcpSocket");
    check(json!({ "exec": { "command": ["/ok"] } }), ".exec", "is not supported");
    check(json!({ "tcpSocket": {} }), ".tcpSocket.port", "is required");
    check(
        json!({ "tcpSocket": { "port": 0 } }),
        ".tcpSocket.port",
        "0 is not a whole number from 1 to 65535",
    );
    check(json!({ "tcpSocket": { "port": "web" } }), ".tcpSocket.port", "\"web\" is not a whole number");
    check(json!({ "tcpSocket": { "port": 80, "host": "x" } }), ".tcpSocket.host", "is not supported");
    check(json!({ "httpGet": { "port": 80, "path": "x" } }), ".httpGet.path", "`x` does not start with `/`");
    check(json!({ "httpGet": { "port": 80, "path": "/a b" } }), ".httpGet.path", "`/a b` does not start");
    check(
        json!({ "httpGet": { "port": 80, "scheme": "HTTPS" } }),
        ".httpGet.scheme",
        "`HTTPS` is not one of HTTP",
    );
    check(timed("periodSeconds", 0), ".periodSeconds", "0 is not a whole number from 1 to 3600");
    check(timed("timeoutSeconds", 0), ".timeoutSeconds", "0 is not a whole number from 1 to 3600");
    check(timed("initialDelaySeconds", 3_601), ".initialDelaySeconds", "3601 is not a whole number from 0");
    check(timed("successThreshold", 0), ".successThreshold", "0 is not a whole number from 1 to 100");
    check(timed("failureThreshold", 101), ".failureThreshold", "101 is not a whole number from 1 to 100");
    check(timed("periodSecond", 1), ".periodSecond", "is not supported; did you mean periodSeconds?");
}

#[test]
fn two_workloads_or_containers_of_one_name_are_refused() {
    let workload = &example()["workload"][0];
    let container = &workload["podSpec"]["containers"][0];

    let workloads = refusal(&with("/workload", json!([workload, workload])));
    let containers = refusal(&with("/workload/0/podSpec/containers", json!([container, container])));

    assert_eq!(workloads, "Template.workload[1] has the name `nginx` of another workload");
    assert_eq!(
        containers,
        "Template.workload[0].podSpec.containers[1] has the name `android` of another container"
    );
}

#[test]
fn a_service_config_is_kept_as_given() {
    let config = json!({
        "portsBindConfig": { "netServiceContainer": "android", "ports": [
            { "protocol": "TCP", "bindType": "Mapping", "startNodePorts": "31000-31009", "containerPorts": "4440-4449" }
        ]},
        "serviceContainerName": "android"
    });

    let template = Template::read(&with("/workload/0/serviceConfig", config.clone())).unwrap();

    assert_eq!(template.workloads[0].service_config, Some(config));
    let bound = BoundPorts { protocol: "TCP", node: 31_000, container: 4_440, count: 10 };
    assert_eq!(template.workloads[0].bound_ports, [bound]);
}

#[test]
fn ports_that_cannot_be_bound_are_refused_by_their_path() {
    let ports = |pod_count: u32, ports: Value| {
        let mut template =
            with("/workload/0/serviceConfig", json!({ "portsBindConfig": { "ports": ports } }));
        template["workload"][0]["podCount"] = json!(pod_count);
        template["workload"][0]["count"] = Value::Null;
        template
    };
    let binding = |kind: &str, protocol: &str, node: &str, container: &str| json!({ "bindType": kind, "protocol": protocol, "startNodePorts": node, "containerPorts": container });
    let mut two_workloads = ports(1, json!([binding("PassThrough", "UDP", "5000-5009", "5000-5009")]));
    let mut second = two_workloads["workload"][0].clone();
    second["name"] = json!("second");
    two_workloads["workload"].as_array_mut().unwrap().push(second);
    const ITEM: &str = "serviceConfig.portsBindConfig.ports[0]";

    for (template, place, why) in [
        (
            ports(1, json!([binding("PassThrough", "TCP", "80-80", "8080-8080")])),
            format!("workload[0].{ITEM}"),
            "has bindType PassThrough and two different ranges",
        ),
        (
            ports(7, json!([binding("PassThrough", "TCP", "80-80", "80-80")])),
            format!("workload[0].{ITEM}"),
            "has bindType PassThrough, and the 7 pods of an instance share its ports",
        ),
        (
            ports(100, json!([binding("Mapping", "TCP", "65500-65509", "80-89")])),
            format!("workload[0].{ITEM}"),
            "needs node ports 65500-66499 for 100 pods",
        ),
        (
            two_workloads,
            format!("workload[1].{ITEM}"),
            "binds UDP port 5000, which Template.workload[0].service",
        ),
        (
            ports(1, json!([binding("Mapping", "TCP", "1-1025", "1-1025")])),
            format!("workload[0].{ITEM}"),
            "is one too many: an instance binds at most 1024 ports",
        ),
        (
            ports(1, json!([binding("Mapping", "TCP", "+80-81", "80-81")])),
            format!("workload[0].{ITEM}.startNodePorts"),
            "`+80-81` is not a range",
        ),
        (
            ports(1, json!([binding("Mapping", "TCP", "80-65536", "80-81")])),
            format!("workload[0].{ITEM}.startNodePorts"),
            "`80-65536` is not a range",
        ),
        (
            ports(1, json!([binding("mapping", "TCP", "80-81", "80-81")])),
            format!("workload[0].{ITEM}.bindType"),
            "`mapping` is not one of PassThrough, Mapping; did you mean Mapping?",
        ),
        (
            ports(1, json!([{ "startNodePort": "80-81" }])),
            format!("workload[0].{ITEM}.startNodePort"),
            "is not supported; did you mean startNodePorts?",
        ),
        (
            with("/workload/0/serviceConfig", json!({ "portsBindConfig": { "netServiceContainer": "web" } })),
            "workload[0].serviceConfig.portsBindConfig.netServiceContainer".to_owned(),
            "`web` is no container of this workload: android",
        ),
    ] {
        let refused = refusal(&template);

        assert!(refused.starts_with(&format!("Template.{place} {why}")), "{refused}");
    }
}

#[test]
fn one_port_may_be_bound_by_both_protocols_and_lead_to_one_port_of_the_pod_twice() {
    let ports = json!([
        { "protocol": "TCP", "startNodePorts": "3478-3478", "containerPorts": "3478-3478" },
        { "protocol": "UDP", "startNodePorts": "3478-3478", "containerPorts": "3478-3478" },
        { "bindType": "Mapping", "startNodePorts": "80-80", "containerPorts": "3478-3478" },
    ]);

    let read =
        Template::read(&with("/workload/0/serviceConfig", json!({ "portsBindConfig": { "ports": ports } })));

    assert_eq!(read.unwrap().workloads[0].bound_ports.len(), 3);
}
