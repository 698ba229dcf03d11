//! What a fleet file may say, and what each mistake in it is called.

use super::parse;
use crate::fleet::EngineKind;
use crate::fleet::builtin::builtin;
use crate::id::{DistrictCode, EngineName, Isp};
use crate::spec::Resources;
use proptest::prelude::{any, prop_assert, proptest};

const SOUND: &str = r#"
version = 1
[engines.here]
kind = "embedded"
[[edge_nodes]]
id = "cn-shanghai-cmcc"
name = "上海移动"
district = "310100"
isps = ["cmcc"]
capacity = { vcpu = 24, memory_gib = 48 }
engine = "here"
[[edge_nodes]]
id = "roof"
district = "roof-city"
capacity = { vcpu = 1, memory_gib = 2 }
engine = "here"
[[districts]]
code = "roof-city"
father = "310000"
level = "Small"
name = "屋顶"
name_en = "Roof"
"#;

/// One line per mistake: `line:column: message (hint)`.
fn mistakes(text: &str) -> String {
    let mistakes = parse(text).expect_err("the text has mistakes");
    let lines: Vec<String> = mistakes
        .iter()
        .map(|mistake| match &mistake.hint {
            Some(hint) => format!("{mistake} ({hint})"),
            None => mistake.to_string(),
        })
        .collect();
    lines.join("\n")
}

#[test]
fn a_sound_file_is_read_whole() {
    let fleet = parse(SOUND).expect("nothing is wrong with it");

    assert_eq!(fleet.engines.get("here"), Some(&EngineKind::Embedded));
    let [shanghai, roof] = fleet.nodes.as_slice() else { panic!("two nodes, in the order of the file") };
    assert_eq!((shanghai.name.as_str(), shanghai.name_en.as_str()), ("上海移动", "上海移动"));
    assert_eq!((shanghai.area.as_str(), shanghai.province_en.as_str()), ("EastChina", "Shanghai"));
    assert_eq!(shanghai.capacity, Resources { vcpu: 24, memory_mib: 48 * 1024 });
    assert_eq!(shanghai.engine, EngineName::new("here"));
    assert_eq!(roof.isps, [Isp::new("")]);
    assert_eq!(roof.name, "roof");
    assert!(fleet.lies_in(roof, "310000"));
    assert!(fleet.lies_in(roof, "100000"));
}

#[test]
fn the_same_nodes_in_a_file_and_built_in_have_the_same_area_and_province() {
    let known = builtin(EngineKind::Simulated, EngineName::new("here"));
    let mut text = "version = 1\n[engines.here]\nkind = \"simulated\"\n".to_owned();
    for node in &known.nodes {
        let district = node.district.as_ref().map(DistrictCode::as_str).unwrap_or_default();
        let line = format!("district = \"{district}\"\n");
        text.push_str(&format!("[[edge_nodes]]\nid = \"{}\"\n", node.id));
        text.push_str(if district.is_empty() { "" } else { &line });
        text.push_str("capacity = { vcpu = 24, memory_gib = 48 }\nengine = \"here\"\n");
    }

    let fleet = parse(&text).expect("nothing is wrong with it");

    for (read, node) in fleet.nodes.iter().zip(&known.nodes).filter(|(_, node)| node.district.is_some()) {
        assert_eq!(
            (&read.area, &read.province, &read.province_en),
            (&node.area, &node.province, &node.province_en),
            "{}",
            node.id
        );
    }
}

#[test]
fn all_mistakes_are_told_at_once_with_their_places() {
    let text = r#"
version = 2
colour = "blue"
[engines.here]
kind = "embeded"
port = 1
[[edge_nodes]]
id = "a"
nam = "A"
district = "310109"
isps = ["cmc", "unicom", "unicom", 5]
capacity = { vcpu = 0, memory_gib = "48" }
engine = "her"
[[edge_nodes]]
id = "a"
district = "100103"
capacity = 24
[[edge_nodes]]
id = "x/y"
capacity = { vcpu = 1, memory_gib = 1, disk = 3 }
engine = "here"
"#;

    assert_eq!(
        mistakes(text),
        "\
2:11: version 2 of the fleet file is not known (version = 1)
3:1: unknown key `colour` in the fleet file (known keys are version, engines, edge_nodes, districts)
5:8: unknown engine kind `embeded` (did you mean `embedded`?)
6:1: unknown key `port` in engine `here` (known keys are kind)
9:1: unknown key `nam` in edge node `a` (did you mean `name`?)
10:12: unknown district `310109` (did you mean `310100`?)
11:9: unknown carrier `cmc` (did you mean `cmcc`?)
11:26: carrier `unicom` stands twice in edge node `a`
11:36: an element of `isps` of edge node `a` must be a string, not a whole number
12:21: `vcpu` of `capacity` of edge node `a` is 0; it must be from 1 to 1000000
12:37: `memory_gib` of `capacity` of edge node `a` must be a whole number, not a string
13:10: unknown engine `her` (did you mean `here`?)
14:1: edge node `a` has no `engine` (`engine` is a string)
15:6: edge node `a` is there already, on line 8
16:12: district `100103` (east) is too large for a node (a city or a province: level Small or Middle)
17:12: `capacity` of edge node `a` must be a table, not a whole number
19:6: `x/y` cannot be the `id` of edge node 3 (at most 128 bytes without blanks, `/`, `=` and `,`; `All` means the country)
20:40: unknown key `disk` in `capacity` of edge node 3 (known keys are vcpu, memory_gib)"
    );
}

#[test]
fn mistakes_of_districts_are_told() {
    let head = "version = 1\nengines.here.kind = \"simulated\"\nedge_nodes = []\n";
    for (districts, expected) in [
        (
            "[[districts]]\ncode = \"310100\"\nlevel = \"Small\"\nfather = \"310000\"",
            "5:8: district `310100` is there already (built-in codes stay as they are)",
        ),
        (
            "[[districts]]\ncode = \"x\"\nlevel = \"Smal\"\nfather = \"310000\"",
            "6:9: unknown level `Smal` (did you mean `Small`?)",
        ),
        (
            "[[districts]]\ncode = \"x\"\nlevel = \"Small\"\nfather = \"31000\"",
            "7:10: unknown district `31000` (did you mean `310000`?)",
        ),
        (
            "[[districts]]\ncode = \"x\"\nlevel = \"Small\"",
            "4:1: district `x` has no `father` (`father` is a string)",
        ),
        (
            "[[districts]]\ncode = \"x\"\nlevel = \"Middle\"\nfather = \"x\"",
            "7:10: `father` of district `x` is `x`, whose level is not above its own",
        ),
        (
            "[[districts]]\ncode = 5\nlevel = \"National\"",
            "5:8: `code` of district 1 must be a string, not a whole number (write code = \"5\")",
        ),
    ] {
        assert_eq!(mistakes(&format!("{head}{districts}\n")), expected, "{districts}");
    }
}

#[test]
fn an_empty_file_lacks_a_version_engines_and_nodes() {
    assert_eq!(
        mistakes(""),
        "\
1:1: the fleet file has no `version` (`version` is a whole number)
1:1: the fleet file has no `engines` (`engines` is a table: [engines.here])
1:1: the fleet has no edge node (each edge node begins with [[edge_nodes]])"
    );
}

#[test]
fn mistakes_of_syntax_are_all_told_with_their_places() {
    let told =
        parse("version = \n[engines.here]\nkind = embedded\n[edge_nodes\n").expect_err("it is no TOML");

    let lines: Vec<usize> = told.iter().map(|mistake| mistake.line).collect();
    assert_eq!(lines, [1, 3, 4]);
}

#[test]
fn a_text_with_very_many_mistakes_gets_the_first_hundred() {
    let text: String = (0..500).map(|number| format!("key{number} = 1\n")).collect();

    assert_eq!(parse(&text).expect_err("every key is unknown").len(), 100);
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in ".{0,200}") {
        let _ = parse(&text);
    }

    #[test]
    fn a_damaged_file_is_read_or_refused_with_places_in_it(
        at in any::<proptest::sample::Index>(),
        piece in "[\\[\\]{}=\",0-9a-z\n]{0,4}",
        removed in 0..8_usize,
    ) {
        let characters: Vec<char> = SOUND.chars().collect();
        let at = at.index(characters.len());
        let rest = characters.iter().skip(at + removed);
        let text: String = characters.iter().take(at).copied().chain(piece.chars()).chain(rest.copied()).collect();

        if let Err(mistakes) = parse(&text) {
            prop_assert!(!mistakes.is_empty());
            let lines = text.matches('\n').count() + 1;
            prop_assert!(mistakes.iter().all(|mistake| mistake.line <= lines && mistake.column >= 1));
        }
    }
}
