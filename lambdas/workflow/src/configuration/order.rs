//! In which order queries run: the graph of `dependsOn`, and the plans with their segments. Everything here is checked
//! before anything runs, so that a run never meets a cycle, a missing query or one that waits for another segment.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::Value;

use super::problem::{NAME_REMEDY, Object, Reader, child, is_name, kind, meant};
use super::workflow::{Draft, Order, Segment};

/// The most queries of a wave: what one inline Map runs at a time (Step Functions quota).
const WIDTH: u16 = 40;
const SEGMENT_FIELDS: [&str; 4] = ["name", "queries", "mode", "width"];

/// Names every cycle of `dependsOn` once.
pub(super) fn cycles(reader: &mut Reader<'_>, drafts: &[Draft]) {
    let done = topological(drafts.len(), |index| &drafts[index].depends_on).1;
    let mut seen = vec![false; drafts.len()];
    for start in (0..drafts.len()).filter(|index| !done[*index]) {
        // What is not done depends on something that is not done: walking there must come back to a cycle.
        let mut walk = Vec::new();
        let mut place = HashMap::new();
        let mut at = start;
        while !seen[at] {
            seen[at] = true;
            place.insert(at, walk.len());
            walk.push(at);
            match drafts[at].depends_on.iter().find(|on| !done[**on]) {
                Some(on) => at = *on,
                None => break,
            }
        }
        if let Some(first) = place.get(&at) {
            let ring = &walk[*first..];
            let name = |index: usize| drafts[index].name.as_deref().unwrap_or("?").to_owned();
            let mut text: Vec<String> = ring.iter().map(|index| name(*index)).collect();
            text.push(name(at));
            reader.problem(
                format!("{}.dependsOn", drafts[at].path),
                format!("the queries wait for each other: {}", text.join(" waits for ")),
                "remove one of these dependencies",
            );
        }
    }
}

/// An order in which everything comes after what it depends on, as near to the given order as can be; and what is part
/// of it. What is not depends on a cycle.
fn topological<'d>(count: usize, depends_on: impl Fn(usize) -> &'d Vec<usize>) -> (Vec<usize>, Vec<bool>) {
    let mut waits: Vec<usize> = (0..count).map(|index| depends_on(index).len()).collect();
    let mut dependants = vec![Vec::new(); count];
    for index in 0..count {
        for on in depends_on(index) {
            dependants[*on].push(index);
        }
    }
    let mut ready: BTreeSet<usize> = (0..count).filter(|index| waits[*index] == 0).collect();
    let mut order = Vec::with_capacity(count);
    let mut done = vec![false; count];
    while let Some(index) = ready.pop_first() {
        done[index] = true;
        order.push(index);
        for dependant in &dependants[index] {
            waits[*dependant] -= 1;
            if waits[*dependant] == 0 {
                ready.insert(*dependant);
            }
        }
    }
    (order, done)
}

/// A plan's name, and its segments where they are right.
pub(super) type PlanDraft = (String, Option<Vec<Segment>>);

pub(super) fn plans(reader: &mut Reader<'_>, root: &Object<'_>, drafts: &[Draft]) -> Vec<PlanDraft> {
    let Some(value) = root.map.get("plans") else {
        reader.missing(
            root,
            "plans",
            "add a plan, such as {\"serial\": {\"segments\": [{\"name\": \"all\", \"queries\": [\"*\"]}]}}",
        );
        return Vec::new();
    };
    let Some(map) = value.as_object() else {
        reader.problem("$.plans", format!("this is {}", kind(value)), "an object is needed here: plans by their names");
        return Vec::new();
    };
    if map.is_empty() {
        reader.problem("$.plans", "there is no plan", "add one");
    }
    let names: BTreeMap<&str, usize> = drafts
        .iter()
        .enumerate()
        .rev()
        .filter_map(|(index, draft)| draft.name.as_deref().map(|name| (name, index)))
        .collect();
    let order = topological(drafts.len(), |index| &drafts[index].depends_on).0;
    map.iter()
        .map(|(name, value)| {
            let path = child("$.plans", name);
            if !is_name(name) {
                reader.problem(&path, format!("{name:?} is no name"), NAME_REMEDY);
            }
            (name.clone(), plan(reader, value, &path, drafts, &names, &order))
        })
        .collect()
}

fn plan(
    reader: &mut Reader<'_>,
    value: &Value,
    path: &str,
    drafts: &[Draft],
    names: &BTreeMap<&str, usize>,
    order: &[usize],
) -> Option<Vec<Segment>> {
    let object = reader.object(value, path.to_owned(), &["segments"])?;
    let list = reader.list(&object, "segments", true)?;
    if list.is_empty() {
        reader.problem(object.at("segments"), "there is no segment", "add one");
    }
    let before = reader.problems.len();
    let mut places: Vec<Option<(usize, usize)>> = vec![None; drafts.len()];
    let mut rest: Option<(usize, usize)> = None;
    let mut segments = Vec::new();
    let mut paths = Vec::new();
    for (number, (value, path)) in list.iter().enumerate() {
        paths.push(path.clone());
        let Some(object) = reader.object(value, path.clone(), &SEGMENT_FIELDS) else { continue };
        let name = reader.name(&object, "name", Some("add the segment's name")).unwrap_or_default();
        if !name.is_empty() && segments.iter().any(|segment: &Segment| segment.name == name) {
            let what = format!("the segment's name {name:?} is taken");
            reader.problem(object.at("name"), what, "give it another name");
        }
        let order = segment_order(reader, &object);
        let mut queries = Vec::new();
        for (value, path) in reader.list(&object, "queries", true).unwrap_or_default() {
            let Some(query) = reader.text_value(value, path.clone()) else { continue };
            if query == "*" {
                if rest.is_some() {
                    reader.problem(
                        path,
                        "the plan has more than one \"*\"",
                        "keep one: it stands for all other queries",
                    );
                } else {
                    rest = Some((number, queries.len()));
                }
                continue;
            }
            let Some(index) = names.get(query.as_str()) else {
                let remedy = meant(&query, names.keys().copied(), "name a query of this file, or \"*\"");
                reader.problem(path, format!("there is no query {query:?}"), remedy);
                continue;
            };
            if places[*index].is_some() {
                reader.problem(path, format!("{query:?} stands twice in this plan"), "remove one");
                continue;
            }
            places[*index] = Some((number, queries.len()));
            queries.push(*index);
        }
        segments.push(Segment { name, order, queries });
    }
    let missing: Vec<usize> = order.iter().copied().filter(|index| places[*index].is_none()).collect();
    if let Some((segment, at)) = rest
        && let Some(segment) = segments.get_mut(segment)
    {
        segment.queries.splice(at..at, missing);
    } else if !missing.is_empty() && rest.is_none() {
        let mut named: Vec<&str> = missing.iter().filter_map(|index| drafts[*index].name.as_deref()).collect();
        named.sort_unstable();
        let more = if named.len() > 10 { format!(" and {} more", named.len() - 10) } else { String::new() };
        named.truncate(10);
        reader.problem(
            path,
            format!("the plan leaves out {}{more}", named.join(", ")),
            "name them in a segment, or write \"*\", which stands for all other queries; what shall not run has the status SKIPPED",
        );
    }
    for (number, segment) in segments.iter().enumerate() {
        for (at, query) in segment.queries.iter().enumerate() {
            places[*query] = Some((number, at));
        }
        if segment.queries.is_empty() && reader.problems.len() == before {
            reader.problem(&paths[number], "the segment has no query", "add one, or remove the segment");
        }
    }
    for (index, draft) in drafts.iter().enumerate() {
        for on in &draft.depends_on {
            let (Some((segment, at)), Some((other, before))) = (places[index], places[*on]) else { continue };
            let name = |index: usize| drafts[index].name.as_deref().unwrap_or("?");
            if segment != other {
                reader.problem(
                    &paths[segment],
                    format!(
                        "{:?} waits for {:?}, which is in another segment: segments run at the same time",
                        name(index),
                        name(*on)
                    ),
                    "put both into the same segment",
                );
            } else if before >= at && segments[segment].order == Order::List && index != *on {
                reader.problem(
                    &paths[segment],
                    format!("{:?} waits for {:?}, which comes later in the list", name(index), name(*on)),
                    "change the order, or make the segment a graph",
                );
            }
        }
    }
    (reader.problems.len() == before).then_some(segments)
}

fn segment_order(reader: &mut Reader<'_>, object: &Object<'_>) -> Order {
    let mode = reader.word(object, "mode", &["list", "graph"], None);
    let width = reader.integer(object, "width", 1..=u64::from(WIDTH), None);
    match mode {
        Some("graph") => Order::Graph { width: width.and_then(|n| u16::try_from(n).ok()).unwrap_or(WIDTH) },
        _ => {
            if object.map.contains_key("width") && (mode.is_some() || !object.map.contains_key("mode")) {
                reader.problem(object.at("width"), "a list has no width", "remove it, or write \"mode\": \"graph\"");
            }
            Order::List
        }
    }
}
