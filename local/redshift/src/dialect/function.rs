//! Calls that the prelude cannot express as a function of their arguments: date parts without quotes, DECODE, LISTAGG
//! … WITHIN GROUP, IGNORE NULLS and the like.
//! Must never change the order or the number of evaluations of an argument that could have side effects, except where
//! the construct has no other form (DECODE).

use super::expression::Scope;
use super::refusal::{self, UNKNOWN_MARK, unable_function, unsupported_function};
use super::token::{Node, Shape, render, render_trimmed, split, within_limit};
use super::{Error, SCHEMA, types};

/// Nodes that replace a call, and how many nodes behind its brackets they replace as well.
type Made = Option<(Vec<Node>, usize)>;

/// What follows the brackets of an aggregate or window function.
#[derive(Debug, Default)]
struct Suffix<'a> {
    /// WITHIN GROUP ( ORDER BY … ): what stands after ORDER BY.
    within: Option<&'a [Node]>,
    /// Some(true) for IGNORE NULLS, Some(false) for RESPECT NULLS.
    ignore_nulls: Option<bool>,
    /// OVER ( … ).
    over: Option<&'a Node>,
    /// Number of nodes of all of these.
    taken: usize,
}

fn suffix(rest: &[Node]) -> Suffix<'_> {
    let mut found = Suffix::default();
    let at = |index: usize, word: &str| rest.get(index).is_some_and(|node| node.is(word));
    let mut index = 0;
    if at(index, "within")
        && at(index + 1, "group")
        && let Some(group) = rest.get(index + 2).filter(|group| group.is_group())
    {
        let by = group.body.iter().position(|node| node.is("by")).map_or(0, |by| by + 1);
        found.within = Some(&group.body[by..]);
        index += 3;
    }
    if (at(index, "ignore") || at(index, "respect")) && at(index + 1, "nulls") {
        found.ignore_nulls = Some(at(index, "ignore"));
        index += 2;
    }
    if at(index, "over")
        && let Some(group) = rest.get(index + 1).filter(|group| group.is_group())
    {
        found.over = Some(group);
        index += 2;
    }
    found.taken = index;
    found
}

/// The call `name group` with `rest` behind it. `None` leaves it as it is.
pub(super) fn call(name: &Node, group: &Node, rest: &[Node], scope: &Scope<'_>) -> Result<Made, Error> {
    let function = name.lower();
    if unsupported_function(&function) {
        let mut marked = name.clone();
        marked.text.push(UNKNOWN_MARK);
        return Ok(Some((vec![marked, group.clone()], 0)));
    }
    if unable_function(&function) {
        return Err(Error::unable(&format!("function {}", function.to_uppercase())));
    }
    let after = suffix(rest);
    if let Some(over) = after.over {
        refusal::window(&function, over)?;
    }
    let arguments = split(&group.body, ",");
    let made = match function.as_str() {
        "cast" | "try_cast" => return cast(name, group),
        "convert" => return convert(&arguments),
        "dateadd" | "date_add" => part_call("date_add", &arguments)?,
        "datediff" | "date_diff" => part_call("date_diff", &arguments)?,
        "date_part" | "pgdate_part" => part_call("pgdate_part", &arguments)?,
        "extract" => extract(group)?,
        "nvl" => vec![Node::made("coalesce"), group.clone()],
        "concat" if arguments.len() == 2 => {
            let [a, b] = [render_trimmed(arguments[0]), render_trimmed(arguments[1])];
            vec![Node::made(format!("{SCHEMA}.concat(({a})::text, ({b})::text)"))]
        }
        "nvl2" if arguments.len() == 3 => nvl2(&arguments),
        "decode" if arguments.len() >= 3 => decode(&arguments)?,
        "getdate" if group.body.is_empty() && scope.clock => {
            // In a procedure every statement has its own time; PostgreSQL's statement is the CALL. The sub-select is
            // evaluated once per statement.
            vec![Node::made(format!("(select {SCHEMA}.clock() as \"timestamp\")"))]
        }
        "getdate" if group.body.is_empty() => vec![Node::made(format!("{SCHEMA}.\"timestamp\"()"))],
        "array" => vec![Node::made("pg_catalog.jsonb_build_array"), group.clone()],
        "object" => vec![Node::made("pg_catalog.jsonb_build_object"), group.clone()],
        "hll" => vec![Node::made("count"), distinct(group)],
        "listagg" => return Ok(Some((listagg(&arguments, &after), after.taken))),
        "median" if after.over.is_some_and(ordered) || after.within.is_some() => {
            return Err(Error::near("order"));
        }
        "median" => {
            let call =
                format!("{SCHEMA}.median(pg_catalog.array_agg({}){})", render_trimmed(&group.body), over(&after));
            return Ok(Some((vec![Node::made(call)], after.taken)));
        }
        "percentile_cont" | "percentile_disc" if after.within.is_some() => {
            return Ok(Some((percentile(&function, group, &after)?, after.taken)));
        }
        "ratio_to_report" => match after.over {
            Some(over) if ordered(over) => return Err(Error::near("order")),
            Some(over) => {
                let call = format!(
                    "{SCHEMA}.ratio_to_report(({0})::float8, (sum({0}) over{1})::float8)",
                    render_trimmed(&group.body),
                    render(std::slice::from_ref(over))
                );
                return Ok(Some((vec![Node::made(call)], after.taken)));
            }
            None => return Err(Error::refused("ratio_to_report() requires an OVER clause")),
        },
        "first_value" | "last_value" | "nth_value" | "lag" | "lead" => {
            return window(&function, name, group, &after);
        }
        _ => return Ok(None),
    };
    Ok(Some((made, 0)))
}

fn ordered(over: &Node) -> bool {
    over.body.windows(2).any(|pair| pair[0].is("order") && pair[1].is("by"))
}

fn distinct(group: &Node) -> Node {
    let mut group = group.clone();
    group.body.insert(0, Node::word("distinct").after(""));
    if let Some(first) = group.body.get_mut(1) {
        first.lead = " ".to_owned();
    }
    group
}

/// CAST(x AS type).
fn cast(name: &Node, group: &Node) -> Result<Made, Error> {
    let Some(at) = group.body.iter().rposition(|node| node.is("as")) else {
        return Ok(None);
    };
    let Some((made, taken)) = types::rewrite(&group.body[at + 1..], types::Place::Cast)? else {
        return Ok(None);
    };
    let mut group = group.clone();
    group.body.splice(at + 1..at + 1 + taken, made);
    Ok(Some((vec![name.clone(), group], 0)))
}

/// CONVERT(type, x).
fn convert(arguments: &[&[Node]]) -> Result<Made, Error> {
    let [target, value] = arguments else {
        return Ok(None);
    };
    let name = match types::rewrite(target, types::Place::Cast)? {
        Some((mut made, taken)) => {
            made.extend_from_slice(&target[taken..]);
            render_trimmed(&made)
        }
        None => render_trimmed(target),
    };
    Ok(Some((vec![Node::made(format!("cast({} as {name})", render_trimmed(value)))], 0)))
}

/// A function whose first argument is a date part, quoted or not.
fn part_call(function: &str, arguments: &[&[Node]]) -> Result<Vec<Node>, Error> {
    let Some(([part], values)) = arguments.split_first().map(|(part, values)| (*part, values)) else {
        return Ok(vec![Node::made(format!("{SCHEMA}.{function}({})", join(arguments)))]);
    };
    let literal = match part.shape {
        Shape::Word | Shape::Quoted => format!("'{}'", part.name().replace('\'', "''")),
        _ => part.text.clone(),
    };
    Ok(vec![Node::made(format!("{SCHEMA}.{function}({literal}, {})", join(values)))])
}

fn join(arguments: &[&[Node]]) -> String {
    arguments.iter().map(|argument| render_trimmed(argument)).collect::<Vec<_>>().join(", ")
}

/// EXTRACT(part FROM x): integer for timestamps, unlike DATE_PART.
fn extract(group: &Node) -> Result<Vec<Node>, Error> {
    let Some(at) = group.body.iter().position(|node| node.is("from")).filter(|at| *at == 1) else {
        return Err(Error::near(")"));
    };
    let part = &group.body[0];
    let name = part.literal().unwrap_or_else(|| part.name());
    // The arguments the other way round: `date_part(text, timestamp)` is PostgreSQL's own.
    let call = format!("{SCHEMA}.date_part({}, '{}')", render_trimmed(&group.body[at + 1..]), name.replace('\'', "''"));
    Ok(vec![Node::made(call)])
}

fn nvl2(arguments: &[&[Node]]) -> Vec<Node> {
    let text: Vec<String> = arguments.iter().map(|argument| render_trimmed(argument)).collect();
    vec![Node::made(format!("case when ({}) is not null then {} else {} end", text[0], text[1], text[2]))]
}

/// DECODE compares NULL with NULL as equal.
fn decode(arguments: &[&[Node]]) -> Result<Vec<Node>, Error> {
    let text: Vec<String> = arguments.iter().map(|argument| render_trimmed(argument)).collect();
    let mut made = String::from("case");
    for pair in text[1..].chunks(2) {
        if let [search, result] = pair {
            if search.eq_ignore_ascii_case("null") {
                made.push_str(&format!(" when ({}) is null then {result}", text[0]));
            } else {
                made.push_str(&format!(" when ({}) is not distinct from ({search}) then {result}", text[0]));
            }
        }
    }
    if text.len().is_multiple_of(2) {
        made.push_str(&format!(" else {}", text[text.len() - 1]));
    }
    made.push_str(" end");
    // The first argument is written once for each comparison.
    within_limit(made.len())?;
    Ok(vec![Node::made(made)])
}

/// LISTAGG: as a plain aggregate the order stands in the brackets; as a window function it is the window's order over
/// the whole partition.
fn listagg(arguments: &[&[Node]], after: &Suffix<'_>) -> Vec<Node> {
    let mut call = format!("{SCHEMA}.listagg({}", join(arguments));
    match (after.over, after.within) {
        (None, Some(order)) => call.push_str(&format!(" order by {})", render_trimmed(order))),
        (None, None) => call.push(')'),
        (Some(over), within) => {
            let mut window = render_trimmed(&over.body);
            if let Some(order) = within {
                window.push_str(&format!(
                    " order by {} rows between unbounded preceding and unbounded following",
                    render_trimmed(order)
                ));
            }
            call.push_str(&format!(") over ({window})"));
        }
    }
    vec![Node::made(call)]
}

fn over(after: &Suffix<'_>) -> String {
    after.over.map(|over| format!(" over{}", render(std::slice::from_ref(over)))).unwrap_or_default()
}

/// PERCENTILE_CONT and PERCENTILE_DISC as functions of what ARRAY_AGG gathers, which PostgreSQL also takes as a window.
fn percentile(function: &str, group: &Node, after: &Suffix<'_>) -> Result<Vec<Node>, Error> {
    let order = after.within.unwrap_or_default();
    let descending = order.iter().any(|node| node.is("desc"));
    if descending && function == "percentile_disc" {
        return Err(Error::unable("PERCENTILE_DISC … ORDER BY … DESC"));
    }
    let end = order
        .iter()
        .position(|node| node.is_any(&["asc", "desc", "nulls"]) || node.is_symbol(","))
        .unwrap_or(order.len());
    let fraction = render_trimmed(&group.body);
    let fraction = if descending { format!("1 - ({fraction})") } else { fraction };
    Ok(vec![Node::made(format!(
        "{SCHEMA}.{function}(({fraction})::float8, pg_catalog.array_agg({}){})",
        render_trimmed(&order[..end]),
        over(after)
    ))])
}

/// FIRST_VALUE, LAST_VALUE, NTH_VALUE, LAG and LEAD with IGNORE NULLS or RESPECT NULLS, before or in the brackets.
fn window(function: &str, name: &Node, group: &Node, after: &Suffix<'_>) -> Result<Made, Error> {
    let mut group = group.clone();
    let mut ignore = after.ignore_nulls;
    if let Some(at) = group.body.iter().position(|node| node.is_any(&["ignore", "respect"]))
        && group.body.get(at + 1).is_some_and(|node| node.is("nulls"))
    {
        ignore = Some(group.body[at].is("ignore"));
        group.body.drain(at..at + 2);
    }
    let Some(over) = after.over else {
        return Ok(None);
    };
    if ignore.is_none() {
        return Ok(None);
    }
    if ignore != Some(true) {
        let made = vec![name.clone(), group, Node::word("over"), over.clone()];
        return Ok(Some((made, after.taken)));
    }
    // PostgreSQL has no IGNORE NULLS: functions of the prelude that skip NULL, over the rows the function looks at.
    let mut frame = over.clone();
    match function {
        "lag" => push_frame(&mut frame, "rows between unbounded preceding and 1 preceding"),
        "lead" => push_frame(&mut frame, "rows between 1 following and unbounded following"),
        _ => {}
    }
    let arguments = split(&group.body, ",");
    let value = arguments.first().map(|argument| render_trimmed(argument)).unwrap_or_default();
    let more: String = arguments.iter().skip(1).map(|argument| format!(", {}", render_trimmed(argument))).collect();
    let call = format!("{SCHEMA}.{function}_not_null(pg_catalog.array_agg({value}) over{}{more})", render(&[frame]));
    Ok(Some((vec![Node::made(call)], after.taken)))
}

fn push_frame(over: &mut Node, frame: &str) {
    over.body.push(Node::made(frame));
}
