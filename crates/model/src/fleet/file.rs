//! The fleet file: the TOML in which an operator describes edge nodes, engines and districts of one's own
//! (`decisions.md` §1.2). Pure: text in, a fleet or every mistake in it out; whoever calls reads the file.

use super::builtin::{carriers, districts};
use crate::document::{Mistake, Placed, Reader, Section};
use crate::fleet::{District, DistrictLevel, EdgeNode, EngineKind, Fleet};
use crate::id::{DistrictCode, EdgeNodeId, EngineName, Isp};
use crate::placement::CARRIERS;
use crate::spec::Resources;
use crate::suggestion::{nearest, quoted};
use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use toml::de::DeTable;

/// More vCPU or GiB than any edge node has.
const MOST_CAPACITY: u32 = 1_000_000;
const LONGEST_ID: usize = 128;
const LEVELS: [&str; 4] = ["National", "Big", "Middle", "Small"];

/// Reads a fleet file.
///
/// # Errors
/// Every mistake in it, in the order of the text, at most 100. A text that is no TOML gets the mistakes of its
/// syntax only.
pub fn parse(text: &str) -> Result<Fleet, Vec<Mistake>> {
    let mut reader = Reader::new(text);
    let (document, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        reader.mistake(&error.span().unwrap_or_default(), error.message(), None);
    }
    if !reader.has_none() {
        return Err(reader.into_mistakes());
    }
    let top = Section { table: document.get_ref(), span: 0..0, what: "the fleet file".into() };
    reader.only_known(&top, &["version", "engines", "edge_nodes", "districts"]);
    read_version(&mut reader, &top);
    let engines = read_engines(&mut reader, &top);
    let known_districts = read_districts(&mut reader, &top);
    let nodes = read_nodes(&mut reader, &top, &engines, &known_districts);
    match reader.has_none() {
        true => Ok(Fleet { engines, nodes, districts: known_districts }),
        false => Err(reader.into_mistakes()),
    }
}

fn read_version(reader: &mut Reader<'_>, top: &Section<'_, '_>) {
    let Some(version) = reader.required_count(top, "version", u32::MAX) else { return };
    if version.value != 1 {
        let message = format!("version {} of the fleet file is not known", version.value);
        reader.mistake(&version.span, message, Some("version = 1".into()));
    }
}

fn read_engines(reader: &mut Reader<'_>, top: &Section<'_, '_>) -> BTreeMap<EngineName, EngineKind> {
    let mut engines = BTreeMap::new();
    let Some(section) = reader.required_table(top, "engines", "a table: [engines.here]") else {
        return engines;
    };
    for (name, value) in section.table.iter() {
        let what = format!("engine {}", quoted(name.get_ref()));
        let Some(engine) = reader.as_section(value.get_ref(), value.span(), what) else { continue };
        reader.only_known(&engine, &["kind"]);
        // An engine of a wrong kind is known by its name all the same, so that its nodes are not called wrong too.
        let kind = read_kind(reader, &engine).unwrap_or(EngineKind::Simulated);
        if name.get_ref().is_empty() {
            reader.mistake(&name.span(), "the name of an engine is empty", None);
        }
        engines.insert(EngineName::new(name.get_ref().as_ref()), kind);
    }
    if section.table.is_empty() {
        reader.mistake(&section.span, "the fleet has no engine", Some("[engines.here]".into()));
    }
    engines
}

fn read_kind(reader: &mut Reader<'_>, engine: &Section<'_, '_>) -> Option<EngineKind> {
    let kind = reader.required_string(engine, "kind")?;
    match kind.value.as_str() {
        "embedded" => Some(EngineKind::Embedded),
        "simulated" => Some(EngineKind::Simulated),
        other => {
            let hint = did_you_mean(other, ["embedded", "simulated"])
                .unwrap_or_else(|| "`kind` is embedded or simulated".into());
            reader.mistake(&kind.span, format!("unknown engine kind {}", quoted(other)), Some(hint));
            None
        }
    }
}

/// The built-in districts and those of the file.
fn read_districts(reader: &mut Reader<'_>, top: &Section<'_, '_>) -> BTreeMap<DistrictCode, District> {
    let mut known = districts();
    let mut own: Vec<(District, Option<Range<usize>>)> = Vec::new();
    for section in reader.tables(top, "districts", "district") {
        let Some((district, father_span, code_span)) = read_district(reader, section) else { continue };
        if known.contains_key(&district.code) {
            let message = format!("district `{}` is there already", district.code);
            reader.mistake(&code_span, message, Some("built-in codes stay as they are".into()));
            continue;
        }
        known.insert(district.code.clone(), district.clone());
        own.push((district, father_span));
    }
    for (district, span) in own {
        let (Some(father), Some(span)) = (&district.father, span) else { continue };
        match known.get(father) {
            None => {
                let hint = did_you_mean(father.as_str(), known.keys().map(DistrictCode::as_str));
                reader.mistake(&span, format!("unknown district {}", quoted(father.as_str())), hint);
            }
            // Levels that only go up make loops impossible.
            Some(above) if above.level >= district.level => {
                let message = format!(
                    "`father` of district `{}` is `{father}`, whose level is not above its own",
                    district.code
                );
                reader.mistake(&span, message, None);
            }
            Some(_) => {}
        }
    }
    known
}

/// A district, the place of its father and the place of its code.
fn read_district(
    reader: &mut Reader<'_>,
    mut section: Section<'_, '_>,
) -> Option<(District, Option<Range<usize>>, Range<usize>)> {
    let code = read_id(reader, &section, "code");
    if let Some(code) = &code {
        section.what = format!("district `{}`", code.value);
    }
    reader.only_known(&section, &["code", "father", "level", "name", "name_en"]);
    let level_name = reader.required_string(&section, "level");
    let level = level_name.and_then(|name| {
        let level = DistrictLevel::from_name(&name.value);
        if level.is_none() {
            let hint = did_you_mean(&name.value, LEVELS)
                .unwrap_or_else(|| format!("`level` is one of {}", LEVELS.join(", ")));
            reader.mistake(&name.span, format!("unknown level {}", quoted(&name.value)), Some(hint));
        }
        level
    });
    let father = match level {
        Some(DistrictLevel::National) | None => reader.string(&section, "father"),
        Some(DistrictLevel::Big | DistrictLevel::Middle | DistrictLevel::Small) => {
            reader.required_string(&section, "father")
        }
    };
    let (name, name_en) = read_names(reader, &section, code.as_ref());
    let (code, level) = (code?, level?);
    let father_span = father.as_ref().map(|father| father.span.clone());
    let district = District {
        code: DistrictCode::new(code.value),
        father: father.map(|father| DistrictCode::new(father.value)),
        level,
        name,
        name_en,
    };
    Some((district, father_span, code.span))
}

fn read_nodes(
    reader: &mut Reader<'_>,
    top: &Section<'_, '_>,
    engines: &BTreeMap<EngineName, EngineKind>,
    known: &BTreeMap<DistrictCode, District>,
) -> Vec<EdgeNode> {
    if !top.table.contains_key("edge_nodes") {
        let hint = "each edge node begins with [[edge_nodes]]".to_owned();
        reader.mistake(&top.span, "the fleet has no edge node", Some(hint));
    }
    let mut nodes = Vec::new();
    let mut seen: HashMap<String, usize> = HashMap::new();
    for mut section in reader.tables(top, "edge_nodes", "edge node") {
        let id = read_id(reader, &section, "id");
        if let Some(id) = &id {
            section.what = format!("edge node `{}`", id.value);
            let (line, _) = reader.place(id.span.start);
            if let Some(first) = seen.get(&id.value) {
                let message = format!("edge node `{}` is there already, on line {first}", id.value);
                reader.mistake(&id.span, message, None);
            } else {
                seen.insert(id.value.clone(), line);
            }
            if known.contains_key(id.value.as_str()) {
                let message = format!("`{}` is the code of a district", id.value);
                reader.mistake(&id.span, message, Some("an edge node needs an id of its own".into()));
            }
        }
        nodes.extend(read_node(reader, &section, id, engines, known));
    }
    nodes
}

fn read_node(
    reader: &mut Reader<'_>,
    section: &Section<'_, '_>,
    id: Option<Placed<String>>,
    engines: &BTreeMap<EngineName, EngineKind>,
    known: &BTreeMap<DistrictCode, District>,
) -> Option<EdgeNode> {
    reader.only_known(section, &["id", "name", "name_en", "district", "isps", "capacity", "engine"]);
    let (name, name_en) = read_names(reader, section, id.as_ref());
    let district = read_node_district(reader, section, known);
    let isps = read_isps(reader, section);
    let capacity = read_capacity(reader, section);
    let engine = read_node_engine(reader, section, engines);
    let up = |level| district.as_ref().and_then(|code| above(known, code, level));
    let province = up(DistrictLevel::Middle);
    let area = up(DistrictLevel::Big).map(|big| area_name(&big.name_en)).unwrap_or_default();
    Some(EdgeNode {
        id: EdgeNodeId::new(id?.value),
        name,
        name_en,
        isps,
        capacity: capacity?,
        engine: engine?,
        area,
        province: province.map(|unit| unit.name.clone()).unwrap_or_default(),
        province_en: province.map(|unit| unit.name_en.clone()).unwrap_or_default(),
        district,
    })
}

/// An identifier: something that the command line can take apart from a carrier and a count.
fn read_id(reader: &mut Reader<'_>, section: &Section<'_, '_>, key: &str) -> Option<Placed<String>> {
    let id = reader.required_string(section, key)?;
    let sound = |character: char| {
        !character.is_whitespace() && !character.is_control() && !matches!(character, '/' | '=' | ',')
    };
    if id.value.len() > LONGEST_ID || !id.value.chars().all(sound) || id.value == "All" {
        let message = format!("{} cannot be the `{key}` of {}", quoted(&id.value), section.what);
        let hint =
            format!("at most {LONGEST_ID} bytes without blanks, `/`, `=` and `,`; `All` means the country");
        reader.mistake(&id.span, message, Some(hint));
        return None;
    }
    Some(id)
}

/// `name` and `name_en`; each stands in for the other, the id for both.
fn read_names(
    reader: &mut Reader<'_>,
    section: &Section<'_, '_>,
    id: Option<&Placed<String>>,
) -> (String, String) {
    let name = reader.string(section, "name").map(|name| name.value);
    let name_en = reader.string(section, "name_en").map(|name| name.value);
    let fallback = || id.map(|id| id.value.clone()).unwrap_or_default();
    let shown = name.clone().or_else(|| name_en.clone()).unwrap_or_else(fallback);
    let shown_en = name_en.or(name).unwrap_or_else(fallback);
    (shown, shown_en)
}

fn read_node_district(
    reader: &mut Reader<'_>,
    section: &Section<'_, '_>,
    known: &BTreeMap<DistrictCode, District>,
) -> Option<DistrictCode> {
    let code = reader.string(section, "district")?;
    match known.get(code.value.as_str()) {
        Some(District { level: DistrictLevel::Small | DistrictLevel::Middle, .. }) => {
            Some(DistrictCode::new(code.value))
        }
        Some(district) => {
            let message = format!("district `{}` ({}) is too large for a node", code.value, district.name_en);
            reader.mistake(&code.span, message, Some("a city or a province: level Small or Middle".into()));
            None
        }
        None => {
            let hint = did_you_mean(&code.value, known.keys().map(DistrictCode::as_str))
                .unwrap_or_else(|| "codes of your own are declared with [[districts]]".into());
            reader.mistake(&code.span, format!("unknown district {}", quoted(&code.value)), Some(hint));
            None
        }
    }
}

fn read_isps(reader: &mut Reader<'_>, section: &Section<'_, '_>) -> Vec<Isp> {
    let mut names: Vec<String> = Vec::new();
    for name in reader.strings(section, "isps") {
        if !CARRIERS.contains(&name.value.as_str()) {
            let hint = did_you_mean(&name.value, CARRIERS)
                .unwrap_or_else(|| format!("carriers are {}", CARRIERS.join(", ")));
            reader.mistake(&name.span, format!("unknown carrier {}", quoted(&name.value)), Some(hint));
        } else if names.contains(&name.value) {
            let message = format!("carrier `{}` stands twice in {}", name.value, section.what);
            reader.mistake(&name.span, message, None);
        } else {
            names.push(name.value);
        }
    }
    carriers(names.iter().map(String::as_str))
}

fn read_capacity(reader: &mut Reader<'_>, section: &Section<'_, '_>) -> Option<Resources> {
    let capacity = reader.required_table(section, "capacity", "a table: { vcpu = 24, memory_gib = 48 }")?;
    reader.only_known(&capacity, &["vcpu", "memory_gib"]);
    let vcpu = reader.required_count(&capacity, "vcpu", MOST_CAPACITY);
    let memory_gib = reader.required_count(&capacity, "memory_gib", MOST_CAPACITY);
    Some(Resources { vcpu: vcpu?.value, memory_mib: u64::from(memory_gib?.value) * 1024 })
}

fn read_node_engine(
    reader: &mut Reader<'_>,
    section: &Section<'_, '_>,
    engines: &BTreeMap<EngineName, EngineKind>,
) -> Option<EngineName> {
    let engine = reader.required_string(section, "engine")?;
    if !engines.contains_key(engine.value.as_str()) {
        let hint = did_you_mean(&engine.value, engines.keys().map(EngineName::as_str))
            .unwrap_or_else(|| "engines are declared with [engines.NAME]".into());
        reader.mistake(&engine.span, format!("unknown engine {}", quoted(&engine.value)), Some(hint));
        return None;
    }
    Some(EngineName::new(engine.value))
}

/// The unit of `level` that holds the district `code`, or is it.
fn above<'a>(
    known: &'a BTreeMap<DistrictCode, District>,
    code: &DistrictCode,
    level: DistrictLevel,
) -> Option<&'a District> {
    let up = |district: &&'a District| known.get(district.father.as_ref()?);
    // Four levels; the bound keeps a loop, which is a mistake of its own, from looping here.
    std::iter::successors(known.get(code), up).take(8).find(|district| district.level == level)
}

/// `EastChina` for `east`, as the built-in nodes have it.
fn area_name(big: &str) -> String {
    let mut letters = big.chars();
    let first: String = letters.next().map(|letter| letter.to_uppercase().collect()).unwrap_or_default();
    format!("{first}{}China", letters.as_str())
}

fn did_you_mean<'a>(wrong: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    nearest(wrong, known).map(|near| format!("did you mean `{near}`?"))
}

#[cfg(test)]
mod tests;
