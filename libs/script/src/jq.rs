//! jq: which places of an object an expression names.

use jaq_core::load::{Arena, Error as LoadError, Errors, File, Loader};
use jaq_core::{Compiler, Ctx, Vars, data, load};
use jaq_json::{Val, read};
use serde_json::Value;

/// How many places one expression may name, and how long their pointers may be together, in bytes.
const MAX_PLACES: usize = 10_000;
const MAX_LENGTH: usize = 256 << 10;

/// The JSON pointers of the places. One that meets something it cannot read names nothing, as in Argo CD.
///
/// # Errors
/// When the expression is none, in words.
pub(crate) fn places(expression: &str, object: &Value) -> Result<Vec<String>, String> {
    // On its own first: what closes a bracket of ours and opens another would be an expression with them around it.
    let alone = Arena::default();
    parsed(&alone, expression)?;
    let code = format!("path({expression}\n)");
    let arena = Arena::default();
    let modules = parsed(&arena, &code)?;
    let funs = jaq_core::funs()
        .chain(jaq_std::funs())
        .chain(jaq_json::funs());
    let compiled = Compiler::default().with_funs(funs).compile(modules);
    let filter = compiled.map_err(|errors| undefined(&errors))?;
    let input = read::parse_single(object.to_string().as_bytes());
    let input = input.map_err(|_| "the object is no JSON".to_owned())?;
    let context = Ctx::<data::JustLut<Val>>::new(&filter.lut, Vars::new([]));
    let (mut found, mut length) = (Vec::new(), 0);
    for path in filter.id.run((context, input)) {
        let Ok(path) = path else {
            // It failed, or wants to stop.
            return Ok(Vec::new());
        };
        let path: Value = serde_json::from_str(&path.to_string()).unwrap_or_default();
        let before = found.len();
        pointers(
            object,
            path.as_array().map_or(&[], Vec::as_slice),
            &mut found,
        );
        length += found[before..].iter().map(String::len).sum::<usize>();
        if found.len() > MAX_PLACES || length > MAX_LENGTH {
            return Err(format!("it names more than {MAX_PLACES} places"));
        }
    }
    Ok(found)
}

type Modules<'a> = load::Modules<&'a str, ()>;

fn parsed<'a>(arena: &'a Arena, code: &'a str) -> Result<Modules<'a>, String> {
    let defs = jaq_core::defs()
        .chain(jaq_std::defs())
        .chain(jaq_json::defs());
    let file = File { code, path: () };
    Loader::new(defs).load(arena, file).map_err(unreadable)
}

/// What cannot be read, in words.
fn unreadable(errors: Errors<&str, ()>) -> String {
    let near = errors.into_iter().find_map(|(_, error)| match error {
        LoadError::Lex(all) => all.first().map(|(_, rest)| (*rest).to_owned()),
        LoadError::Parse(all) => all.first().map(|(_, found)| (*found).to_owned()),
        LoadError::Io(all) => all.first().map(|(path, _)| (*path).to_owned()),
    });
    let near: String = near.unwrap_or_default().chars().take(40).collect();
    match near.trim() {
        "" => "it cannot be read: something is missing at its end".to_owned(),
        near => format!("it cannot be read from `{near}` on"),
    }
}

/// Which names there are none of, in words.
fn undefined(errors: &load::Errors<&str, (), Vec<(&str, jaq_core::compile::Undefined)>>) -> String {
    let all = errors.iter().flat_map(|(_, all)| all);
    let names: Vec<&str> = all.map(|(name, _)| *name).take(3).collect();
    format!("there is no `{}`", names.join("`, `"))
}

/// A path as jq writes it (names, numbers, and slices as objects) as pointers.
fn pointers(object: &Value, path: &[Value], found: &mut Vec<String>) {
    let mut at: Vec<(String, Option<&Value>)> = vec![(String::new(), Some(object))];
    for step in path {
        let mut next = Vec::new();
        for (pointer, value) in at {
            let mut go = |word: &str, value| next.push((format!("{pointer}/{word}"), value));
            match step {
                Value::String(name) => {
                    let word = name.replace('~', "~0").replace('/', "~1");
                    go(&word, value.and_then(|value| value.get(name)));
                }
                Value::Object(slice) => {
                    let items = value
                        .and_then(Value::as_array)
                        .map_or(&[][..], Vec::as_slice);
                    let bound =
                        |name: &str, otherwise| match slice.get(name).and_then(Value::as_i64) {
                            Some(given) => placed(given, items.len()),
                            None => otherwise,
                        };
                    for position in bound("start", 0)..bound("end", items.len()) {
                        go(&position.to_string(), items.get(position));
                    }
                }
                number => {
                    let length = value.and_then(Value::as_array).map_or(0, Vec::len);
                    if let Some(number) = number.as_i64() {
                        let position = match usize::try_from(number) {
                            Ok(position) => position,
                            Err(_) => placed(number, length),
                        };
                        go(
                            &position.to_string(),
                            value.and_then(|value| value.get(position)),
                        );
                    }
                }
            }
            if next.len() > MAX_PLACES {
                break;
            }
        }
        at = next;
    }
    found.extend(at.into_iter().map(|(pointer, _)| pointer));
}

/// A position that counts from the end where it is negative, within the list.
fn placed(given: i64, length: usize) -> usize {
    let whole = i64::try_from(length).unwrap_or(i64::MAX);
    let position = if given < 0 {
        given.saturating_add(whole)
    } else {
        given
    };
    usize::try_from(position.clamp(0, whole)).unwrap_or_default()
}
