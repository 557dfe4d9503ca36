//! One edit, drawn at random: of a path of the repository, of what is asked, or of a repository that bases are taken of.

use std::collections::BTreeMap;

use domain::settings::Rendering;
use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use serde_json::{Value, json};

use crate::tree::{Entry, Tree, folder_of, join};

/// What is asked for, besides the repository and the commit.
#[derive(Clone, PartialEq)]
pub(crate) struct Asked {
    pub(crate) source: Value,
    pub(crate) app_name: String,
    pub(crate) project: String,
    pub(crate) namespace: String,
    pub(crate) variables: BTreeMap<String, String>,
    pub(crate) kube_version: String,
    pub(crate) apis: Vec<String>,
    pub(crate) rendering: Rendering,
}

/// A repository, and what is asked of it.
#[derive(Clone, PartialEq)]
pub(crate) struct State {
    pub(crate) tree: Tree,
    /// The repositories that kustomizations take bases of, by the words that stand for their addresses.
    pub(crate) remotes: BTreeMap<String, Tree>,
    /// Where the source is, however its path is written.
    pub(crate) home: String,
    pub(crate) asked: Asked,
}

/// A folder that every repository has and nothing reads, and links to the case and to the source's own folder.
pub(crate) const DETOUR: &str = "detour";
pub(crate) const LINKED: &str = "linked";
pub(crate) const DIRECT: &str = "direct";
/// A branch of the repositories that bases are taken of, which stays at what they were first.
pub(crate) const FIRST: &str = "first";

const MAP: &str =
    "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: extra\ndata:\n  who: ${TEAM}\n";
const TEMPLATE: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {{ .Release.Name }}-extra\ndata:\n  version: {{ .Capabilities.KubeVersion | quote }}\n  \
     has: {{ .Capabilities.APIVersions.Has \"example.com/v1\" | quote }}\n  files: {{ .Files.Glob \"*.txt\" | toJson | quote }}\n";
const OVERRIDES: &[&str] = &[
    "helm: {releaseName: overridden}\n",
    "helm: {valueFiles: [values-prod.yaml], ignoreMissingValueFiles: true}\n",
    "kustomize: {namePrefix: overridden-}\n",
    "directory: {recurse: true}\n",
    "directory: {exclude: 'extra*'}\n",
    "directory: {disableExtensionFilter: true}\n",
    "{}\n",
];
const KUSTOMIZATIONS: &[&str] = &[
    "resources: [extra.yaml]\n",
    "resources: []\nnamePrefix: made-\n",
    "configMapGenerator:\n- name: made\n  files: [notes.txt]\n",
];

/// Names that some tool looks for, with what may stand there.
const NAMES: &[(&str, &[&str])] = &[
    (
        "Chart.yaml",
        &[
            "apiVersion: v2\nname: made\nversion: 1.0.0\n",
            "apiVersion: v2\nname: made\nversion: 1.0.0\nkubeVersion: '>=1.33'\n",
        ],
    ),
    (
        "values.yaml",
        &["message: of the team ${TEAM}\n", "replicaCount: 5\n"],
    ),
    ("values-prod.yaml", &["message: prod\n"]),
    (
        "values.schema.json",
        &["{\"required\": [\"absent\"]}\n", "{}\n"],
    ),
    (".helmignore", &["*.txt\n", "templates/\n", "values*\n"]),
    ("requirements.yaml", &["dependencies: []\n"]),
    ("kustomization.yaml", KUSTOMIZATIONS),
    ("kustomization.yml", KUSTOMIZATIONS),
    ("Kustomization", KUSTOMIZATIONS),
    ("kustomize", KUSTOMIZATIONS),
    (".argocd-source.yaml", OVERRIDES),
    (".argocd-source-app.yaml", OVERRIDES),
    (".argocd-source-other.yaml", OVERRIDES),
    ("extra.yaml", &[MAP]),
    ("extra.yml", &[MAP]),
    ("extra.yaml.sealed", &[MAP]),
    (
        "extra.json",
        &[
            "{\"apiVersion\": \"v1\", \"kind\": \"ConfigMap\", \"metadata\": {\"name\": \"json\"}}\n",
        ],
    ),
    (
        "extra.jsonnet",
        &["{apiVersion: 'v1', kind: 'ConfigMap', metadata: {name: 'jsonnet'}}\n"],
    ),
    ("templates/extra.yaml", &[TEMPLATE]),
    (
        "templates/_extra.tpl",
        &["{{ define \"extra\" }}x{{ end }}\n"],
    ),
    ("crds/extra.yaml", &[MAP]),
    (
        "charts/extra/Chart.yaml",
        &["apiVersion: v2\nname: extra\nversion: 1.0.0\n"],
    ),
    ("charts/extra/templates/extra.yaml", &[TEMPLATE]),
    ("notes.txt", &["a note\n", "a note of ${USER_IDENTITY}\n"]),
];

const WORDS: &[&str] = &[
    "other", "3", "\"3\"", "true", "null", "[]", "{}", "${TEAM}", "a: b",
];
const VARIABLES: &[&str] = &["USER_IDENTITY", "TEAM", "ABSENT"];

/// Options of the tools; an edit sets one, or takes it away where it is set.
fn options(tool: &str) -> Vec<(&'static str, Value)> {
    match tool {
        "helm" => vec![
            ("releaseName", json!("renamed")),
            ("namespace", json!("elsewhere")),
            ("kubeVersion", json!("1.31.0")),
            ("apiVersions", json!(["example.com/v1"])),
            ("skipCrds", json!(true)),
            ("skipTests", json!(true)),
            ("values", json!("message: given to ${TEAM}\n")),
            ("valuesObject", json!({"message": "an object"})),
            (
                "valueFiles",
                json!(["values-prod.yaml", "*.yml", "../*.yaml"]),
            ),
            ("ignoreMissingValueFiles", json!(true)),
            (
                "parameters",
                json!([{"name": "message", "value": "$ARGOCD_APP_REVISION"}]),
            ),
            (
                "parameters",
                json!([{"name": "message", "value": "${ARGOCD_APP_PROJECT_NAME}"}]),
            ),
            (
                "fileParameters",
                json!([{"name": "message", "path": "notes.txt"}]),
            ),
        ],
        "kustomize" => vec![
            ("namePrefix", json!("blue-")),
            ("nameSuffix", json!("-01")),
            ("namespace", json!("elsewhere")),
            ("commonLabels", json!({"name": "$ARGOCD_APP_NAME"})),
            (
                "commonAnnotations",
                json!({"at": "$ARGOCD_APP_REVISION_SHORT"}),
            ),
            ("commonAnnotationsEnvsubst", json!(true)),
            ("images", json!(["nginx:$ARGOCD_APP_NAME"])),
            (
                "components",
                json!(["../parts/tls", "../parts/absent", "notes.txt"]),
            ),
            ("ignoreMissingComponents", json!(true)),
            ("kubeVersion", json!("1.31.0")),
        ],
        _ => vec![
            ("recurse", json!(true)),
            ("include", json!("*.yaml")),
            ("include", json!("{a,extra}*")),
            ("exclude", json!("extra*")),
            ("disableExtensionFilter", json!(true)),
            (
                "jsonnet",
                json!({"extVars": [{"name": "name", "value": "$ARGOCD_APP_NAMESPACE"}]}),
            ),
            ("jsonnet", json!({"libs": ["libs", "vendor"]})),
        ],
    }
}

/// Makes one edit and says which.
pub(crate) fn edit(random: &mut StdRng, state: &mut State) -> String {
    loop {
        let before = state.clone();
        let of_bases = !state.remotes.is_empty() && random.random_bool(0.6);
        let said = match random.random_range(0..20) {
            drawn if of_bases => match drawn < 16 {
                true => base(random, &mut state.remotes),
                false => revision(random, &mut state.tree),
            },
            0 => Some("another commit with the same files".to_owned()),
            1..6 => ask(random, state),
            6..10 => content(random, &mut state.tree),
            10..13 => beside(random, state),
            13..15 => named(random, state),
            15..17 => link(random, state),
            17 => rename(random, &mut state.tree),
            18 => remove(random, &mut state.tree),
            _ => folder(random, &mut state.tree),
        };
        match said {
            Some(said) if *state != before || said.starts_with("another commit") => return said,
            _ => *state = before,
        }
    }
}

/// A file's content.
fn content(random: &mut StdRng, tree: &mut Tree) -> Option<String> {
    let path = tree.paths().choose(random)?.clone();
    let Some(text) = tree.get(&path)?.text() else {
        let Some(Entry::File(content)) = tree.get(&path) else {
            return None;
        };
        let mut content = content.clone();
        let at = random.random_range(0..content.len().max(1));
        *content.get_mut(at)? ^= 1 << random.random_range(0..8);
        tree.put(&path, Entry::File(content));
        return Some(format!("a bit of {path} at {at}"));
    };
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let at = random.random_range(0..lines.len().max(1));
    let line = lines.get(at).cloned().unwrap_or_default();
    let said = match random.random_range(0..8) {
        0 => {
            lines.clear();
            "emptied".to_owned()
        }
        1 => {
            lines.get(at)?;
            lines.remove(at);
            format!("without line {}", at + 1)
        }
        2 => {
            lines.insert(at, line);
            format!("line {} twice", at + 1)
        }
        3 => {
            lines.push(format!("# of ${{{}}}", VARIABLES.choose(random)?));
            "a comment with a variable".to_owned()
        }
        4 => {
            let letters: Vec<usize> = line.char_indices().map(|(at, _)| at).collect();
            let from = *letters.choose(random)?;
            let to = line[from..].chars().next()?.len_utf8() + from;
            let letter = char::from(random.random_range(b' '..=b'~'));
            lines[at].replace_range(from..to, &letter.to_string());
            format!("a letter in line {}: {}", at + 1, lines[at])
        }
        5 => {
            // A word becomes a variable.
            let words: Vec<&str> = line
                .split(|c: char| !c.is_ascii_alphanumeric())
                .filter(|word| !word.is_empty())
                .collect();
            let word = *words.choose(random)?;
            let variable = format!("${{{}}}", VARIABLES.choose(random)?);
            lines[at] = line.replacen(word, &variable, 1);
            format!("line {}: {}", at + 1, lines[at])
        }
        _ => {
            let (key, _) = line.split_once(':')?;
            lines[at] = format!("{key}: {}", WORDS.choose(random)?);
            format!("line {}: {}", at + 1, lines[at])
        }
    };
    let mut text = lines.join("\n");
    if !text.is_empty() {
        text.push('\n');
    }
    tree.put_text(&path, &text);
    Some(format!("{path}: {said}"))
}

/// A repository that bases are taken of; whoever takes one takes another one then, and writes nothing.
fn base(random: &mut StdRng, remotes: &mut BTreeMap<String, Tree>) -> Option<String> {
    let words: Vec<String> = remotes.keys().cloned().collect();
    let word = words.choose(random)?;
    let tree = remotes.get_mut(word)?;
    let said = match random.random_range(0..10) {
        0 => {
            let mut folders = tree.folders();
            folders.push(String::new());
            let (name, texts) = NAMES.choose(random)?;
            let path = join(folders.choose(random)?, name);
            tree.put_text(&path, texts.choose(random)?);
            Some(format!("{path} is written"))
        }
        1 => rename(random, tree),
        2 => remove(random, tree),
        3 => folder(random, tree),
        _ => content(random, tree),
    };
    Some(format!("in {word}, {}", said?))
}

/// The revision at which a base is taken.
fn revision(random: &mut StdRng, tree: &mut Tree) -> Option<String> {
    const MARK: &str = "?ref=";
    let mut paths = tree.paths();
    paths.retain(|path| {
        let text = tree.get(path).and_then(Entry::text);
        text.is_some_and(|text| text.contains(MARK))
    });
    let path = paths.choose(random)?;
    let (before, after) = tree.get(path)?.text()?.split_once(MARK)?;
    let end = after.find(['"', '\'', ',', ']', ' ', '\n']);
    let rest = &after[end.unwrap_or(after.len())..];
    let revision = ["main", "v1", FIRST, "gone"].choose(random)?;
    let text = format!("{before}{MARK}{revision}{rest}");
    tree.put_text(path, &text);
    Some(format!("{path} takes a base at {revision}"))
}

/// A folder to do something in: often the source's own.
fn place(random: &mut StdRng, state: &State) -> String {
    if random.random_bool(0.6) {
        return state.home.clone();
    }
    let mut folders = state.tree.folders();
    folders.push(String::new());
    folders.choose(random).cloned().unwrap_or_default()
}

/// A file under a name that tools look for, or one like those that are there.
fn beside(random: &mut StdRng, state: &mut State) -> Option<String> {
    let folder = place(random, state);
    if random.random_bool(0.2) {
        // What a pattern finds that found its neighbour.
        let paths = state.tree.paths();
        let near: Vec<_> = paths
            .iter()
            .filter(|path| folder_of(path) == folder)
            .collect();
        let other = (*near.choose(random)?).clone();
        let name = other.rsplit('/').next()?;
        let prefix = ["a", "z", ".", "x-"].choose(random)?;
        let path = join(&folder, &format!("{prefix}{name}"));
        let entry = state.tree.get(&other)?.clone();
        state.tree.put(&path, entry);
        return Some(format!("{path}, as {other} is"));
    }
    let (name, texts) = NAMES.choose(random)?;
    let path = join(&folder, name);
    state.tree.put_text(&path, texts.choose(random)?);
    Some(format!("{path} is written"))
}

/// What a path leads to from a folder, by its letters.
fn lexical(folder: &str, path: &str) -> Option<String> {
    let mut done: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                done.pop()?;
            }
            part => done.push(part),
        }
    }
    (!done.is_empty()).then(|| done.join("/"))
}

/// A path that a file or an option names: made where it is not, else taken away or made something else.
fn named(random: &mut StdRng, state: &mut State) -> Option<String> {
    let (folder, text) = if random.random_bool(0.4) {
        (state.home.clone(), state.asked.source.to_string())
    } else {
        let path = state.tree.paths().choose(random)?.clone();
        let text = state.tree.get(&path)?.text()?.to_owned();
        (folder_of(&path).to_owned(), text)
    };
    let part = |c: char| c.is_ascii_alphanumeric() || "._-/+".contains(c);
    let words: Vec<&str> = text
        .split(|c: char| !part(c))
        .filter(|word| word.len() > 2 && word.contains(['.', '/']) && !word.starts_with("//"))
        .collect();
    let path = lexical(&folder, words.choose(random)?)?;
    let there = state.tree.get(&path).is_some() || state.tree.folders().contains(&path);
    match random.random_range(0..4) {
        0 if there => {
            state.tree.take(&path);
            Some(format!("{path}, which is named, is taken away"))
        }
        0 | 1 => {
            let target = target(random, &state.tree, &path)?;
            state.tree.put(&path, Entry::Link(target.clone()));
            Some(format!("{path}, which is named, leads to {target}"))
        }
        2 => {
            let (name, texts) = NAMES.choose(random)?;
            let path = join(&path, name);
            state.tree.put_text(&path, texts.choose(random)?);
            Some(format!("{path} is written, in what is named"))
        }
        _ => {
            let (_, texts) = NAMES.choose(random)?;
            state.tree.put_text(&path, texts.choose(random)?);
            Some(format!("{path}, which is named, is written"))
        }
    }
}

/// Where a link at a path may lead: to a file or folder, to nothing, or out.
fn target(random: &mut StdRng, tree: &Tree, path: &str) -> Option<String> {
    let up = "../".repeat(path.matches('/').count());
    Some(match random.random_range(0..8) {
        0 => "nowhere".to_owned(),
        1 => format!("{up}../outside"),
        2 => "/etc/hostname".to_owned(),
        3 => format!("{up}{DETOUR}/../{}", tree.paths().choose(random)?),
        4 | 5 => format!("{up}{}", tree.folders().choose(random)?),
        _ => format!("{up}{}", tree.paths().choose(random)?),
    })
}

/// A link: a new one, one instead of a file or folder that is moved, or another way for one.
fn link(random: &mut StdRng, state: &mut State) -> Option<String> {
    let tree = &mut state.tree;
    let mut paths = tree.paths();
    let path = match random.random_range(0..4) {
        0 => {
            // What it was is seen through it.
            paths.extend(tree.folders());
            let path = paths.choose(random)?.clone();
            let moved = format!("{path}-moved");
            let taken = tree.take(&path);
            tree.put_all(&moved, taken);
            let name = moved.rsplit('/').next()?.to_owned();
            tree.put(&path, Entry::Link(name));
            return Some(format!("{path} is a link to {moved}, where it is now"));
        }
        1 => {
            paths.retain(|path| matches!(tree.get(path), Some(Entry::Link(_))));
            paths.choose(random)?.clone()
        }
        2 => paths.choose(random)?.clone(),
        _ => join(&place(random, state), NAMES.choose(random)?.0),
    };
    let target = target(random, &state.tree, &path)?;
    state.tree.put(&path, Entry::Link(target.clone()));
    Some(format!("{path} leads to {target}"))
}

fn rename(random: &mut StdRng, tree: &mut Tree) -> Option<String> {
    let mut paths = tree.paths();
    paths.extend(tree.folders());
    let from = paths.choose(random)?.clone();
    let to = match random.random_range(0..3) {
        0 => join(folder_of(&from), NAMES.choose(random)?.0),
        1 => {
            let name = from.rsplit('/').next()?;
            join(tree.folders().choose(random)?, name)
        }
        _ => format!("{from}.bak"),
    };
    if to.starts_with(&format!("{from}/")) {
        return None;
    }
    let taken = tree.take(&from);
    tree.take(&to);
    tree.put_all(&to, taken);
    Some(format!("{from} is {to} now"))
}

fn remove(random: &mut StdRng, tree: &mut Tree) -> Option<String> {
    let paths = tree.paths();
    let path = paths.choose(random)?;
    tree.take(path);
    Some(format!("{path} is taken away"))
}

/// A folder: taken away, or a file; or a file that becomes one.
fn folder(random: &mut StdRng, tree: &mut Tree) -> Option<String> {
    let folder = tree.folders().choose(random)?.clone();
    match random.random_range(0..3) {
        0 => {
            tree.take(&folder);
            Some(format!("{folder} and all in it is taken away"))
        }
        1 => {
            tree.put_text(&folder, MAP);
            Some(format!("{folder} is a file"))
        }
        _ => {
            let path = tree.paths().choose(random)?.clone();
            let inner = join(&path, path.rsplit('/').next()?);
            let entry = tree.get(&path)?.clone();
            tree.put(&inner, entry);
            Some(format!("{path} is a folder with itself in it"))
        }
    }
}

/// What is asked.
fn ask(random: &mut StdRng, state: &mut State) -> Option<String> {
    let State { home, asked, .. } = state;
    Some(match random.random_range(0..14) {
        0 | 1 => {
            asked.app_name = (*["app", "other", "third"].choose(random)?).to_owned();
            format!("the application is {}", asked.app_name)
        }
        2 => {
            asked.namespace = (*["user01", "user02"].choose(random)?).to_owned();
            format!("the namespace is {}", asked.namespace)
        }
        3 => {
            asked.project = (*["default", "team"].choose(random)?).to_owned();
            format!("the project is {}", asked.project)
        }
        4 | 5 => {
            let versions = ["", "v1.29.9", "v1.33.0", "v1.34.1", "v1.34.1+k3s1"];
            asked.kube_version = (*versions.choose(random)?).to_owned();
            format!("the cluster's version is {:?}", asked.kube_version)
        }
        6 => {
            let all = [
                "apps/v1/Deployment",
                "example.com/v1",
                "example.com/v1/Thing",
                "monitoring.coreos.com/v1",
                "monitoring.coreos.com/v1/ServiceMonitor",
            ];
            let api = (*all.choose(random)?).to_owned();
            match asked.apis.iter().position(|known| *known == api) {
                Some(at) => drop(asked.apis.remove(at)),
                None => asked.apis.push(api),
            }
            format!("the cluster's APIs are {:?}", asked.apis)
        }
        7 | 8 => {
            let name = (*VARIABLES.choose(random)?).to_owned();
            // The last is none that may be put into a file.
            let value = ["user01", "user02", "blue", "a: b"].choose(random)?;
            match random.random_bool(0.3) {
                true => asked.variables.remove(&name),
                false => asked.variables.insert(name, (*value).to_owned()),
            };
            format!("the variables are {:?}", asked.variables)
        }
        9 => {
            let rendering = &mut asked.rendering;
            let flag = match random.random_range(0..4) {
                0 => &mut rendering.helm,
                1 => &mut rendering.kustomize,
                2 => &mut rendering.build.enable_helm,
                _ => &mut rendering.build.load_anywhere,
            };
            *flag = !*flag;
            format!("the settings are {rendering:?}")
        }
        10 => {
            let revision = ["main", "v1", "HEAD"].choose(random)?;
            asked.source["targetRevision"] = json!(revision);
            format!("the revision is written {revision}")
        }
        11 => {
            let (_, rest) = home.split_once('/')?;
            let path = match random.random_range(0..5) {
                0 => home.clone(),
                1 => format!("./{home}/"),
                2 => format!("{DETOUR}/../{home}"),
                3 => format!("{LINKED}/{rest}"),
                _ => DIRECT.to_owned(),
            };
            asked.source["path"] = json!(path);
            format!("the path is written {path}")
        }
        12 => {
            let blocks = ["helm", "kustomize", "directory"];
            let there = blocks
                .iter()
                .filter(|tool| asked.source.get(**tool).is_some());
            let tool = *there.collect::<Vec<_>>().choose(random)?;
            leaf(random, asked.source.get_mut(*tool)?)?;
            format!("the options are {}", asked.source[*tool])
        }
        _ => {
            let blocks = ["helm", "kustomize", "directory"];
            let there = blocks
                .iter()
                .find(|tool| asked.source.get(**tool).is_some());
            let tool = *there.or_else(|| blocks.choose(random))?;
            let (name, value) = options(tool).choose(random)?.clone();
            let source = asked.source.as_object_mut()?;
            let block = source.entry(tool).or_insert_with(|| json!({}));
            let block = block.as_object_mut()?;
            if block.remove(name).is_none() {
                block.insert(name.to_owned(), value);
            }
            format!("the options are {}", asked.source[tool])
        }
    })
}

/// Changes one value in options, or takes it away.
fn leaf(random: &mut StdRng, value: &mut Value) -> Option<()> {
    match value {
        Value::Object(map) => {
            let names: Vec<String> = map.keys().cloned().collect();
            let name = names.choose(random)?;
            if random.random_bool(0.2) {
                map.remove(name);
                return Some(());
            }
            leaf(random, map.get_mut(name)?)
        }
        Value::Array(list) => {
            let at = random.random_range(0..list.len().max(1));
            if random.random_bool(0.3) {
                list.get(at)?;
                list.remove(at);
                return Some(());
            }
            leaf(random, list.get_mut(at)?)
        }
        Value::String(text) => {
            match random.random_range(0..3) {
                0 => text.push('x'),
                1 => drop(text.pop()),
                _ => *text = (*["other", "$ARGOCD_APP_NAME", "*.yaml"].choose(random)?).to_owned(),
            }
            Some(())
        }
        Value::Bool(flag) => {
            *flag = !*flag;
            Some(())
        }
        Value::Number(_) => {
            *value = json!(random.random_range(0..9));
            Some(())
        }
        Value::Null => None,
    }
}
