//! The fields of a Template, as the reference tells them. Tells only; the reading is the parent module's, and a test
//! here holds both together.

use crate::entry::JsonField;

const NAME: &str = "1 to 63 lower-case letters, digits, inner hyphens";

/// In the order in which they are read.
pub const FIELDS: &[JsonField] = &[
    JsonField::of("appMetaData.appName", NAME, r#""nginx""#, "The name, unique in its cluster.").required(),
    JsonField::of(
        "appMetaData.clusterName",
        "1 to 63 letters, digits, `_`, `-`",
        r#""poc""#,
        "A name that ListApplications groups by; it has no other meaning here.",
    )
    .or("default"),
    JsonField::of(
        "appMetaData.appType",
        "Common, Scheduler",
        r#""Common""#,
        "What kind of application it is; shown, without effect here.",
    )
    .or("Common"),
    JsonField::of("appMetaData.description", "at most 256 characters", r#""test""#, "For people."),
    JsonField::of(
        "appMetaData.appVersion",
        "a letter or digit, then up to 62 letters, digits, `.`, `_`, `-`",
        r#""v1""#,
        "The name of the first version, which becomes the stable one.",
    )
    .or("v1"),
    JsonField::of(
        "resourceAttribute.instanceSpec",
        "an instance spec",
        r#""ens.sn1.tiny""#,
        "What each instance takes of its edge node, and the limit that its pods share.",
    )
    .required(),
    JsonField::of(
        "resourceAttribute.schedulingStrategy",
        "Disperse, Concentrate",
        r#""Disperse""#,
        "Disperse puts each instance where the application has fewest, Concentrate where it has most.",
    )
    .or("Disperse"),
    JsonField::of(
        "resourceAttribute.areaLevel",
        "National, Big, Middle, Small, RegionId",
        r#""National""#,
        "At RegionId the first items are read as edge node ids, else as areas and carriers.",
    )
    .or("National"),
    JsonField::of("resourceAttribute.resourceType", "Ens, BareMetal-Arm", r#""Ens""#, "Shown, without effect.")
        .or("Ens"),
    JsonField::of("resourceAttribute.resourceAgent", "text", r#""Linux""#, "Shown, without effect.").or("Linux"),
    JsonField::of("resourceAttribute.imageId", "text", r#""m-2ze40oyhjorpyw61k7be""#, "Shown, without effect."),
    JsonField::of("resourceAttribute.systemDiskSize", "GB, from 20", "20", "Shown, not enforced.").or("20"),
    JsonField::of("resourceAttribute.dataDiskSize", "GB, from 0", "0", "Shown, not enforced.").or("0"),
    JsonField::of("resourceAttribute.bandwithOut", "Mbit/s, from 0", "10", "Shown, not enforced.").or("10"),
    JsonField::of("resourceAttribute.ipType", "PublicIP, InternalIP", r#""PublicIP""#, "Shown, without effect.")
        .or("PublicIP"),
    JsonField::of("resourceAttribute.netSecurityStrategy", "object", "{}", "Kept and shown, without effect."),
    JsonField::of("resourceAttribute.initConfig", "object", "{}", "Kept and shown, without effect."),
    JsonField::of(
        "resourceAttribute.minReady",
        "0 to 1,000",
        "2",
        "Ours: how many instances on one edge node and carrier stay ready while others are released or moved.",
    )
    .or("0"),
    JsonField::of(
        "resourceSelector",
        "array",
        r#"[{"count":1}]"#,
        "Where the first instances go: items as in the ResourceSelector of RescaleApplication. `[]` creates the \
         application without instances.",
    ),
    JsonField::of(
        "workload[].name",
        NAME,
        r#""web""#,
        "The name of the workload, unique in the template; at most 20 workloads.",
    )
    .required(),
    JsonField::of("workload[].podCount", "1 to 100", "1", "Pods of this workload on each instance.").or("1"),
    JsonField::of("workload[].count", "1 to 100", "1", "Another name of podCount; both must agree."),
    JsonField::of(
        "workload[].podSpec.containers[].name",
        NAME,
        r#""web""#,
        "The name of the container, unique in the pod; at most 20 containers.",
    )
    .required(),
    JsonField::of(
        "workload[].podSpec.containers[].image",
        "text, at most 1,024 bytes",
        r#""oci:/srv/hello-edge.oci""#,
        "`oci:PATH[:TAG]`, an OCI layout or archive on the server's machine, or the reference of an image in a \
         registry.",
    )
    .required(),
    JsonField::of(
        "workload[].podSpec.containers[].imagePullPolicy",
        "Always, IfNotPresent, Never",
        r#""IfNotPresent""#,
        "Accepted, and changes nothing: the version is pinned to one digest.",
    )
    .or("IfNotPresent"),
    JsonField::of(
        "workload[].podSpec.containers[].command",
        "array of text",
        r#"["/bin/web"]"#,
        "Replaces the entry point of the image.",
    ),
    JsonField::of(
        "workload[].podSpec.containers[].args",
        "array of text",
        r#"["--port","8080"]"#,
        "Replaces the arguments of the image.",
    ),
    JsonField::of(
        "workload[].podSpec.containers[].env[].name",
        "text",
        r#""LEVEL""#,
        "A variable beside those of the image; required in each item of env.",
    ),
    JsonField::of("workload[].podSpec.containers[].env[].value", "text", r#""info""#, "Its value.").or("empty"),
    JsonField::of(
        "workload[].podSpec.containers[].workingDir",
        "an absolute path",
        r#""/srv""#,
        "Replaces the working directory of the image.",
    ),
    JsonField::of(
        "workload[].podSpec.containers[].ports[].containerPort",
        "1 to 65,535",
        "8080",
        "A port that the container listens on; required in each item of ports. For people: nothing is closed.",
    ),
    JsonField::of("workload[].podSpec.containers[].ports[].protocol", "TCP, UDP", r#""TCP""#, "Its protocol.")
        .or("TCP"),
    JsonField::of(
        "workload[].podSpec.containers[].readinessProbe.httpGet.port",
        "1 to 65,535",
        "8080",
        "The container is ready when `GET` at this port of its pod answers 200 to 399; required in httpGet. A probe has \
         either httpGet or tcpSocket.",
    ),
    JsonField::of(
        "workload[].podSpec.containers[].readinessProbe.httpGet.path",
        "text that starts with `/`",
        r#""/healthz""#,
        "What is asked for.",
    )
    .or("/"),
    JsonField::of(
        "workload[].podSpec.containers[].readinessProbe.tcpSocket.port",
        "1 to 65,535",
        "8080",
        "The container is ready when this port of its pod takes a connection; required in tcpSocket.",
    ),
    JsonField::of(
        "workload[].podSpec.containers[].readinessProbe.initialDelaySeconds",
        "0 to 3,600",
        "0",
        "From the start of the container to the first question.",
    )
    .or("0"),
    JsonField::of(
        "workload[].podSpec.containers[].readinessProbe.periodSeconds",
        "1 to 3,600",
        "10",
        "From one answer to the next question. Until the first good answer it is asked sooner.",
    )
    .or("10"),
    JsonField::of(
        "workload[].podSpec.containers[].readinessProbe.timeoutSeconds",
        "1 to 3,600",
        "1",
        "An answer that takes longer is a bad one.",
    )
    .or("1"),
    JsonField::of(
        "workload[].podSpec.containers[].readinessProbe.successThreshold",
        "1 to 100",
        "1",
        "So many good answers in a row make it ready.",
    )
    .or("1"),
    JsonField::of(
        "workload[].podSpec.containers[].readinessProbe.failureThreshold",
        "1 to 100",
        "3",
        "So many bad answers in a row make it not ready again.",
    )
    .or("3"),
    JsonField::of("workload[].podSpec.restartPolicy", "Always", r#""Always""#, "Containers are restarted.")
        .or("Always"),
    JsonField::of(
        "workload[].serviceConfig.serviceContainerName",
        "text",
        r#""web""#,
        "The container that is meant by default; shown.",
    )
    .or("none"),
    JsonField::of(
        "workload[].serviceConfig.portsBindConfig.netServiceContainer",
        "text",
        r#""web""#,
        "The container that listens; must be one of the workload. The containers of a pod share its ports.",
    )
    .or("none"),
    JsonField::of(
        "workload[].serviceConfig.portsBindConfig.ports[].protocol",
        "TCP, UDP",
        r#""TCP""#,
        "Of the bound ports.",
    )
    .or("TCP"),
    JsonField::of(
        "workload[].serviceConfig.portsBindConfig.ports[].bindType",
        "PassThrough, Mapping",
        r#""Mapping""#,
        "`PassThrough`: the node port is the container's, for podCount 1. `Mapping`: the container's port under another \
         number; the node ports of each further pod follow those of the one before.",
    )
    .or("PassThrough"),
    JsonField::of(
        "workload[].serviceConfig.portsBindConfig.ports[].startNodePorts",
        "from-to",
        r#""5000-5009""#,
        "Ports on the address of the instance, for its first pod; required in each item of ports. No two of a version \
         may be the same, all pods counted; 1,024 at the most.",
    ),
    JsonField::of(
        "workload[].serviceConfig.portsBindConfig.ports[].containerPorts",
        "from-to",
        r#""5000-5009""#,
        "Ports inside of the pod, as many; required in each item of ports.",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::Presence;
    use crate::template::Template;
    use serde_json::{Map, Value};

    /// A template of the examples of all fields but those whose path is `without`, and those that stand for another one.
    fn example(without: Option<&str>) -> Value {
        let mut template = Value::Object(Map::new());
        let instead = |path: &str| path.contains(".tcpSocket.");
        for field in FIELDS.iter().filter(|field| Some(field.path) != without && !instead(field.path)) {
            let mut place = &mut template;
            for step in field.path.split('.') {
                let (name, is_list) = step.strip_suffix("[]").map_or((step, false), |name| (name, true));
                place = &mut place[name];
                if is_list {
                    if place.is_null() {
                        *place = Value::Array(vec![Value::Object(Map::new())]);
                    }
                    place = &mut place[0];
                }
            }
            *place = serde_json::from_str(field.example).unwrap();
        }
        template
    }

    #[test]
    fn the_examples_of_all_fields_make_a_template() {
        let read = Template::read(&example(None));

        assert!(read.is_ok(), "{read:?}: {:#}", example(None));
    }

    #[test]
    fn what_is_told_as_required_is_required_and_nothing_else_is() {
        // Required only within items that are optional themselves.
        let inner = [
            "workload[].podSpec.containers[].env[].name",
            "workload[].podSpec.containers[].ports[].containerPort",
            "workload[].podSpec.containers[].readinessProbe.httpGet.port",
            "workload[].serviceConfig.portsBindConfig.ports[].startNodePorts",
            "workload[].serviceConfig.portsBindConfig.ports[].containerPorts",
        ];
        for field in FIELDS.iter().filter(|field| !inner.contains(&field.path)) {
            let read = Template::read(&example(Some(field.path)));

            assert_eq!(read.is_err(), field.presence == Presence::Required, "{}", field.path);
        }
    }

    #[test]
    fn a_list_of_values_is_the_list_that_is_taken() {
        for field in FIELDS.iter().filter(|field| field.kind.chars().next().is_some_and(char::is_uppercase)) {
            for value in field.kind.split(", ").filter(|value| !value.contains(' ')) {
                let mut template = example(None);
                let pointer = format!("/{}", field.path.replace("[]", ".0").replace('.', "/"));
                if let Some(place) = template.pointer_mut(&pointer).filter(|place| place.is_string()) {
                    *place = value.into();
                }
                let read = Template::read(&template);
                assert!(read.is_ok(), "{} {value}: {read:?}", field.path);
            }
        }
    }
}
