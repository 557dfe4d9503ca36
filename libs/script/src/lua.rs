//! Lua 5.1, as Argo CD's checks and actions are written in.
//!
//! What a script has: the base functions, `table`, `string`, `math`, and of `os` the time. Argo CD has `string` and `math`
//! where `useOpenLibs` says so; here they are always there, and nothing ever gives more.

use std::collections::BTreeMap;

use mlua::{Function, Lua, LuaOptions, LuaSerdeExt, StdLib, Table, Value as LuaValue};
use serde_json::Value;

use crate::{Changed, Offer, Verdict};

/// Base functions that read files or programs, write, or look at more than they are given.
const GONE: &[&str] = &[
    "collectgarbage",
    "dofile",
    "getfenv",
    "load",
    "loadfile",
    "loadstring",
    "module",
    "newproxy",
    "package",
    "print",
    "setfenv",
];
/// What is left of `os`.
const OS: &[&str] = &["clock", "date", "difftime", "time"];

/// How an object fares.
///
/// # Errors
/// When the script fails or returns no table, in words.
pub(crate) fn health(script: &str, object: &Value) -> Result<Option<Verdict>, String> {
    let lua = machine(object, &BTreeMap::new()).map_err(words)?;
    let table = match returned(&lua, script)? {
        LuaValue::Nil => return Ok(None),
        LuaValue::Table(table) => table,
        other => return Err(format!("it returns a {}, not a table", other.type_name())),
    };
    let field = |name: &str| table.get::<Option<String>>(name).map_err(words);
    Ok(field("status")?.map(|status| Verdict {
        status,
        message: field("message").ok().flatten().unwrap_or_default(),
    }))
}

/// The actions that an object has, by name.
///
/// # Errors
/// When the script fails or returns no table of tables, in words.
pub(crate) fn actions(script: &str, object: &Value) -> Result<Vec<Offer>, String> {
    let lua = machine(object, &BTreeMap::new()).map_err(words)?;
    let table = match returned(&lua, script)? {
        LuaValue::Table(table) => table,
        other => return Err(format!("it returns a {}, not a table", other.type_name())),
    };
    let mut offers = Vec::new();
    for pair in table.pairs::<String, Table>() {
        let (name, of) = pair.map_err(words)?;
        let text = |field: &str| {
            of.get::<Option<String>>(field)
                .ok()
                .flatten()
                .unwrap_or_default()
        };
        let mut parameters = Vec::new();
        if let Ok(Some(given)) = of.get::<Option<Table>>("params") {
            for parameter in given.sequence_values::<Table>() {
                parameters.push(parameter.and_then(|one| one.get("name")).map_err(words)?);
            }
        }
        offers.push(Offer {
            disabled: of
                .get::<Option<bool>>("disabled")
                .ok()
                .flatten()
                .unwrap_or_default(),
            parameters,
            icon: text("iconClass"),
            title: text("displayName"),
            name,
        });
    }
    offers.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(offers)
}

/// What an action makes: the object as it is to be, or a list of objects that it changes and makes.
///
/// # Errors
/// When the script fails or returns something else, in words.
pub(crate) fn act(
    script: &str,
    object: &Value,
    parameters: &BTreeMap<String, String>,
) -> Result<Vec<Changed>, String> {
    let lua = machine(object, parameters).map_err(words)?;
    let value = returned(&lua, script)?;
    let value: Value = lua.from_value(value).map_err(words)?;
    match value {
        Value::Object(_) => Ok(vec![Changed {
            create: false,
            object: value,
        }]),
        Value::Array(items) => items.into_iter().map(impacted).collect(),
        _ => Err("it returns neither an object nor a list of them".to_owned()),
    }
}

/// An entry of an action's list.
fn impacted(mut item: Value) -> Result<Changed, String> {
    let create = match item["operation"].as_str() {
        Some("create") => true,
        Some("patch") => false,
        _ => return Err("an `operation` is neither `create` nor `patch`".to_owned()),
    };
    match item["resource"].take() {
        object @ Value::Object(_) => Ok(Changed { create, object }),
        _ => Err("a `resource` is no table".to_owned()),
    }
}

/// A machine with `obj` and `actionParams`, and no more than a script may have.
fn machine(object: &Value, parameters: &BTreeMap<String, String>) -> mlua::Result<Lua> {
    let libraries = StdLib::TABLE | StdLib::STRING | StdLib::MATH | StdLib::OS;
    let lua = Lua::new_with(libraries, LuaOptions::default())?;
    let globals = lua.globals();
    for name in GONE {
        globals.set(*name, LuaValue::Nil)?;
    }
    globals.get::<Table>("string")?.set("dump", LuaValue::Nil)?;
    let whole: Table = globals.get("os")?;
    let os = lua.create_table()?;
    for name in OS {
        os.set(*name, whole.get::<Function>(*name)?)?;
    }
    globals.set("os", os)?;
    globals.set("require", lua.create_function(require)?)?;
    let options = mlua::serde::SerializeOptions::new()
        .serialize_none_to_null(false)
        .serialize_unit_to_null(false);
    globals.set("obj", lua.to_value_with(object, options)?)?;
    globals.set("actionParams", lua.to_value(parameters)?)?;
    Ok(lua)
}

/// `require` of what there is anyway: scripts write it out of habit.
fn require(lua: &Lua, name: String) -> mlua::Result<Table> {
    let known = ["math", "os", "string", "table"].contains(&name.as_str());
    match lua.globals().get::<Option<Table>>(name.as_str())? {
        Some(library) if known => Ok(library),
        _ => Err(mlua::Error::runtime(format!(
            "there is no module `{name}` for scripts"
        ))),
    }
}

fn returned(lua: &Lua, script: &str) -> Result<LuaValue, String> {
    let chunk = lua
        .load(script)
        .set_name("=script")
        .set_mode(mlua::chunk::ChunkMode::Text);
    chunk.eval().map_err(words)
}

/// The first line: what follows is where it was called from, which is ours.
fn words(error: mlua::Error) -> String {
    let text = error.to_string();
    text.lines().next().unwrap_or_default().to_owned()
}
