//! Addresses as Go's templates write them: `https://logs.example/?q={{ .app.metadata.name | urlquery }}`.
//!
//! There are fields, `.` and `$`, texts, numbers, `true`, `false`, `nil`, brackets, pipelines, `if`, `else`, `with` and `range`, and
//! functions of Go and of sprig. A field that there is not prints `<no value>`, as in Go.

use std::borrow::Cow;

use serde_json::Value;

use super::values::{is_empty, row, write};
use super::words::{Token, Word, words};
use super::{Budget, Fault, MAX_DEPTH, MAX_MADE, MAX_TEXT, Misread};

mod functions;

/// A template that is understood.
#[derive(Clone, Debug, PartialEq)]
pub struct Template(Vec<Node>);

#[derive(Clone, Debug, PartialEq)]
enum Node {
    Text(String),
    Show(Pipeline),
    Block(Block, Pipeline, Vec<Self>, Vec<Self>),
}

/// What a block does with its value.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Block {
    If,
    With,
    Range,
}

/// Each command's value is the last one of the next.
#[derive(Clone, Debug, PartialEq)]
struct Pipeline(Vec<Command>);

#[derive(Clone, Debug, PartialEq)]
enum Command {
    Value(Operand),
    Call(&'static str, Vec<Operand>),
}

#[derive(Clone, Debug, PartialEq)]
enum Operand {
    Literal(Value),
    /// The fields that lead on from where one is, or from the top.
    Field(Top, Vec<String>),
    Nested(Pipeline, Vec<String>),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Top {
    Here,
    All,
}

/// Reads a template.
///
/// # Errors
/// At the first word that is not understood.
pub fn parse(text: &str) -> Result<Template, Misread> {
    if text.len() > MAX_TEXT {
        return Err(Misread::TooLarge);
    }
    let mut parser = Parser {
        text,
        pieces: pieces(text)?,
        at: 0,
        depth: 0,
    };
    let (nodes, end) = parser.nodes()?;
    match end {
        None => Ok(Template(nodes)),
        Some(end) => Err(parser.misread(&end)),
    }
}

/// Text as it is, or the words between braces.
enum Piece {
    Text(String),
    Action(Vec<Word>),
}

fn pieces(text: &str) -> Result<Vec<Piece>, Misread> {
    let mut pieces = Vec::new();
    let (mut at, mut trims) = (0, false);
    while let Some(rest) = text.get(at..) {
        let open = rest.find("{{");
        let mut plain = rest.get(..open.unwrap_or(rest.len())).unwrap_or_default();
        if trims {
            plain = plain.trim_start();
        }
        let Some(open) = open else {
            pieces.push(Piece::Text(plain.to_owned()));
            break;
        };
        let mut from = at + open + 2;
        let inside = text.get(from..).unwrap_or_default();
        if inside.starts_with("- ") {
            plain = plain.trim_end();
            from += 1;
        }
        pieces.push(Piece::Text(plain.to_owned()));
        let close = closing(text, from)?;
        let inside = text.get(from..close).unwrap_or_default();
        trims = inside.ends_with(" -");
        let to = close - usize::from(trims);
        let inside = inside.trim();
        if !inside.starts_with("/*") {
            pieces.push(Piece::Action(words(text, from, to, &['"', '`'])?));
        }
        at = close + 2;
    }
    Ok(pieces)
}

/// Where the braces are closed that are open at a place: not within a quoted text, nor within a comment.
fn closing(text: &str, from: usize) -> Result<usize, Misread> {
    let rest = text.get(from..).unwrap_or_default();
    if rest.trim_start().starts_with("/*") {
        let end = rest.find("*/").ok_or(Misread::End)?;
        let braces = rest.get(end..).and_then(|rest| rest.find("}}"));
        return braces.map(|braces| from + end + braces).ok_or(Misread::End);
    }
    let mut quote = None;
    let mut letters = rest.char_indices().peekable();
    while let Some((place, letter)) = letters.next() {
        match (quote, letter) {
            (Some('"'), '\\') => {
                letters.next();
            }
            (Some(open), letter) if open == letter => quote = None,
            (Some(_), _) => {}
            (None, '"' | '`') => quote = Some(letter),
            (None, '}') if letters.peek().is_some_and(|next| next.1 == '}') => {
                return Ok(from + place);
            }
            (None, _) => {}
        }
    }
    Err(Misread::End)
}

struct Parser<'t> {
    text: &'t str,
    pieces: Vec<Piece>,
    at: usize,
    depth: usize,
}

impl Parser<'_> {
    fn misread(&self, word: &Word) -> Misread {
        let written = self.text.get(word.from..word.to).unwrap_or_default();
        Misread::word(self.text, word.from, written)
    }

    /// What stands until a block ends or goes on, and the word that says so.
    fn nodes(&mut self) -> Result<(Vec<Node>, Option<Word>), Misread> {
        let mut nodes = Vec::new();
        while let Some(piece) = self.pieces.get(self.at) {
            let words = match piece {
                Piece::Text(text) => {
                    if !text.is_empty() {
                        nodes.push(Node::Text(text.clone()));
                    }
                    self.at += 1;
                    continue;
                }
                Piece::Action(words) => words.clone(),
            };
            let first = words.first().cloned().ok_or(Misread::End)?;
            match name_of(&first) {
                // Whoever opened the block reads on from here.
                Some("else" | "end") => return Ok((nodes, Some(first))),
                Some(name) if Block::of(name).is_some() => {
                    self.at += 1;
                    nodes.push(self.block(&words)?);
                }
                _ => {
                    self.at += 1;
                    nodes.push(Node::Show(self.all(&words)?));
                }
            }
        }
        Ok((nodes, None))
    }

    /// A block from the words that open it, after which `at` is.
    fn block(&mut self, words: &[Word]) -> Result<Node, Misread> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(Misread::TooLarge);
        }
        let (first, rest) = words.split_first().ok_or(Misread::End)?;
        let block = name_of(first).and_then(Block::of);
        let block = block.ok_or_else(|| self.misread(first))?;
        let pipeline = self.all(rest)?;
        let (then, end) = self.nodes()?;
        let end = end.ok_or(Misread::End)?;
        let otherwise = if name_of(&end) == Some("end") {
            self.only(1)?;
            Vec::new()
        } else {
            self.otherwise()?
        };
        self.depth -= 1;
        Ok(Node::Block(block, pipeline, then, otherwise))
    }

    /// What stands behind an `else`, which may open a block itself that ends together with its own.
    fn otherwise(&mut self) -> Result<Vec<Node>, Misread> {
        let words = match self.pieces.get(self.at) {
            Some(Piece::Action(words)) => words.clone(),
            _ => return Err(Misread::End),
        };
        if let [_, rest @ ..] = words.as_slice()
            && !rest.is_empty()
        {
            self.at += 1;
            return Ok(vec![self.block(rest)?]);
        }
        self.at += 1;
        let (nodes, end) = self.nodes()?;
        let end = end.ok_or(Misread::End)?;
        match name_of(&end) {
            Some("end") => self.only(1)?,
            _ => return Err(self.misread(&end)),
        }
        Ok(nodes)
    }

    /// Goes on behind an action of so many words.
    fn only(&mut self, count: usize) -> Result<(), Misread> {
        if let Some(Piece::Action(words)) = self.pieces.get(self.at)
            && let Some(more) = words.get(count)
        {
            return Err(self.misread(more));
        }
        self.at += 1;
        Ok(())
    }

    /// The pipeline that all of these words are.
    fn all(&mut self, words: &[Word]) -> Result<Pipeline, Misread> {
        let mut at = 0;
        let pipeline = self.pipeline(words, &mut at)?;
        match words.get(at) {
            None => Ok(pipeline),
            Some(word) => Err(self.misread(word)),
        }
    }

    fn pipeline(&mut self, words: &[Word], at: &mut usize) -> Result<Pipeline, Misread> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(Misread::TooLarge);
        }
        let mut commands = Vec::new();
        loop {
            commands.push(self.command(words, at, commands.is_empty())?);
            if !is_sign(words.get(*at), "|") {
                break;
            }
            *at += 1;
        }
        self.depth -= 1;
        Ok(Pipeline(commands))
    }

    /// A function with its values, or a value; only the first of a pipeline may be a value.
    fn command(&mut self, words: &[Word], at: &mut usize, first: bool) -> Result<Command, Misread> {
        let word = words.get(*at).ok_or(Misread::End)?;
        let function = name_of(word).filter(|name| literal(name).is_none());
        let Some(name) = function else {
            if !first {
                return Err(self.misread(word));
            }
            return Ok(Command::Value(self.operand(words, at)?));
        };
        let known = functions::find(name).ok_or_else(|| self.misread(word))?;
        *at += 1;
        let mut operands = Vec::new();
        while let Some(next) = words.get(*at)
            && !matches!(next.token, Token::Sign("|" | ")"))
        {
            operands.push(self.operand(words, at)?);
        }
        let count = operands.len() + usize::from(!first);
        if !(known.least..=known.most).contains(&count) {
            return Err(self.misread(word));
        }
        Ok(Command::Call(known.name, operands))
    }

    /// A value, behind which a space, a bracket or the next command has to stand.
    fn operand(&mut self, words: &[Word], at: &mut usize) -> Result<Operand, Misread> {
        let word = words.get(*at).ok_or(Misread::End)?;
        *at += 1;
        let operand = match &word.token {
            Token::Whole(number) => Operand::Literal((*number).into()),
            Token::Fraction(number) => Operand::Literal((*number).into()),
            Token::Text(text) => Operand::Literal(text.as_str().into()),
            Token::Name(name) => {
                let value = literal(name).ok_or_else(|| self.misread(word))?;
                Operand::Literal(value)
            }
            Token::Sign("-") => match words.get(*at).map(|next| &next.token) {
                Some(Token::Whole(number)) => {
                    *at += 1;
                    Operand::Literal((-*number).into())
                }
                _ => return Err(self.misread(word)),
            },
            Token::Sign(".") => {
                let mut fields = Vec::new();
                if let Some(name) = words.get(*at).and_then(directly) {
                    *at += 1;
                    fields.push(name.to_owned());
                    fields.extend(Self::fields(words, at));
                }
                Operand::Field(Top::Here, fields)
            }
            Token::Sign("$") => Operand::Field(Top::All, Self::fields(words, at)),
            Token::Sign("(") => {
                let nested = self.pipeline(words, at)?;
                match words.get(*at) {
                    Some(next) if next.token == Token::Sign(")") => *at += 1,
                    Some(next) => return Err(self.misread(next)),
                    None => return Err(Misread::End),
                }
                Operand::Nested(nested, Self::fields(words, at))
            }
            Token::Sign(_) => return Err(self.misread(word)),
        };
        match words.get(*at) {
            Some(next) if !next.spaced && !matches!(next.token, Token::Sign("|" | ")")) => {
                Err(self.misread(next))
            }
            _ => Ok(operand),
        }
    }

    /// The fields that stand directly behind: `.a.b`.
    fn fields(words: &[Word], at: &mut usize) -> Vec<String> {
        let mut fields = Vec::new();
        while let Some(dot) = words.get(*at)
            && (dot.token == Token::Sign(".") && !dot.spaced)
            && let Some(name) = words.get(*at + 1).and_then(directly)
        {
            fields.push(name.to_owned());
            *at += 2;
        }
        fields
    }
}

impl Block {
    fn of(name: &str) -> Option<Self> {
        Some(match name {
            "if" => Self::If,
            "with" => Self::With,
            "range" => Self::Range,
            _ => return None,
        })
    }
}

fn name_of(word: &Word) -> Option<&str> {
    match &word.token {
        Token::Name(name) => Some(name),
        _ => None,
    }
}

/// The name that a word is, where it stands directly behind the one before.
fn directly(word: &Word) -> Option<&str> {
    name_of(word).filter(|_| !word.spaced)
}

fn literal(name: &str) -> Option<Value> {
    Some(match name {
        "true" => Value::Bool(true),
        "false" => Value::Bool(false),
        "nil" => Value::Null,
        _ => return None,
    })
}

fn is_sign(word: Option<&Word>, sign: &'static str) -> bool {
    word.is_some_and(|word| word.token == Token::Sign(sign))
}

impl Template {
    /// The text that it makes of these values.
    ///
    /// # Errors
    /// When it is not made for them, or makes more than it may.
    pub fn render(&self, values: &Value, budget: &mut Budget) -> Result<String, Fault> {
        let mut run = Run {
            all: values,
            made: String::new(),
            budget,
        };
        run.nodes(&self.0, &Cow::Borrowed(values))?;
        Ok(run.made)
    }
}

struct Run<'v, 'b> {
    all: &'v Value,
    made: String,
    budget: &'b mut Budget,
}

/// A value that was given, or was made; `None` for one that is not there.
type Made<'v> = Option<Cow<'v, Value>>;

impl<'v> Run<'v, '_> {
    #[expect(
        clippy::ptr_arg,
        reason = "what is borrowed of the values outlives this call"
    )]
    fn nodes(&mut self, nodes: &'v [Node], here: &Cow<'v, Value>) -> Result<(), Fault> {
        for node in nodes {
            self.budget.spend(1)?;
            match node {
                Node::Text(text) => self.made.push_str(text),
                Node::Show(pipeline) => match self.pipeline(pipeline, here)? {
                    Some(value) if !value.is_null() => write(&mut self.made, &value)?,
                    _ => self.made.push_str("<no value>"),
                },
                Node::Block(block, pipeline, then, otherwise) => {
                    let value = self.pipeline(pipeline, here)?;
                    let value = value.filter(|value| !is_empty(value));
                    match (block, value) {
                        (_, None) => self.nodes(otherwise, here)?,
                        (Block::If, Some(_)) => self.nodes(then, here)?,
                        (Block::With, Some(value)) => self.nodes(then, &value)?,
                        (Block::Range, Some(value)) => self.range(then, &value)?,
                    }
                }
            }
            if self.made.len() > MAX_MADE {
                return Err(Fault::new("it makes more than it may"));
            }
        }
        Ok(())
    }

    /// Each item of a list; of a map each value, by name.
    #[expect(
        clippy::ptr_arg,
        reason = "what is borrowed of the values outlives this call"
    )]
    fn range(&mut self, nodes: &'v [Node], value: &Cow<'v, Value>) -> Result<(), Fault> {
        let items: Vec<Cow<'v, Value>> = match value {
            Cow::Borrowed(value) => items(value)?.into_iter().map(Cow::Borrowed).collect(),
            Cow::Owned(made) => {
                self.budget.work([value])?;
                let items = items(made)?.into_iter();
                items.map(|item| Cow::Owned(item.clone())).collect()
            }
        };
        for item in &items {
            self.budget.spend(1)?;
            self.nodes(nodes, item)?;
        }
        Ok(())
    }

    fn pipeline(
        &mut self,
        pipeline: &'v Pipeline,
        here: &Cow<'v, Value>,
    ) -> Result<Made<'v>, Fault> {
        let mut last: Option<Made<'v>> = None;
        for command in &pipeline.0 {
            self.budget.spend(1)?;
            last = Some(match command {
                Command::Value(operand) => self.operand(operand, here)?,
                Command::Call(name @ ("and" | "or"), operands) => {
                    self.decide(*name == "and", operands, last, here)?
                }
                Command::Call(name, operands) => {
                    self.budget.spend(1)?;
                    let mut values = Vec::new();
                    for operand in operands {
                        values.push(self.operand(operand, here)?);
                    }
                    values.extend(last);
                    self.budget.work(values.iter().flatten())?;
                    let made = functions::call(name, &values, self.budget)?;
                    self.budget.work(&made)?;
                    made
                }
            });
        }
        Ok(last.flatten())
    }

    /// The first value by which it is decided whether all of them hold, or any; what is behind it is not looked at.
    fn decide(
        &mut self,
        all: bool,
        operands: &'v [Operand],
        last: Option<Made<'v>>,
        here: &Cow<'v, Value>,
    ) -> Result<Made<'v>, Fault> {
        let mut decided = None;
        for operand in operands {
            decided = self.operand(operand, here)?;
            let holds = decided.as_ref().is_some_and(|value| !is_empty(value));
            if holds != all {
                return Ok(decided);
            }
        }
        Ok(last.unwrap_or(decided))
    }

    fn operand(&mut self, operand: &'v Operand, here: &Cow<'v, Value>) -> Result<Made<'v>, Fault> {
        match operand {
            Operand::Literal(value) => Ok(Some(Cow::Borrowed(value))),
            Operand::Field(Top::Here, fields) => self.field_of(here, fields),
            Operand::Field(Top::All, fields) => way(Some(Cow::Borrowed(self.all)), fields),
            Operand::Nested(pipeline, fields) => way(self.pipeline(pipeline, here)?, fields),
        }
    }

    /// What the fields lead to from where one is. Of what was made only the part that they lead to is copied.
    fn field_of(&mut self, here: &Cow<'v, Value>, fields: &[String]) -> Result<Made<'v>, Fault> {
        let made = match *here {
            Cow::Borrowed(value) => return way(Some(Cow::Borrowed(value)), fields),
            Cow::Owned(ref made) => made,
        };
        match way(Some(Cow::Borrowed(made)), fields)? {
            Some(part) => Ok(Some(Cow::Owned(self.budget.copy(&part)?))),
            None => Ok(None),
        }
    }
}

/// What the fields lead to. Below what is not there nothing is; below what is no map there cannot be anything.
fn way<'v>(from: Made<'v>, fields: &[String]) -> Result<Made<'v>, Fault> {
    let mut made = from;
    for field in fields {
        made = match made {
            None => return Ok(None),
            Some(Cow::Borrowed(Value::Object(map))) => map.get(field).map(Cow::Borrowed),
            Some(Cow::Owned(Value::Object(mut map))) => map.remove(field).map(Cow::Owned),
            Some(_) => return Err(Fault::new(format!("nothing has a field `{field}`"))),
        };
    }
    Ok(made)
}

fn items(value: &Value) -> Result<Vec<&Value>, Fault> {
    match value {
        Value::Array(items) => Ok(row(items.len(), items.iter())?.collect()),
        Value::Object(map) => {
            let mut named: Vec<(&String, &Value)> = row(map.len(), map.iter())?.collect();
            named.sort_by_key(|(name, _)| *name);
            Ok(named.into_iter().map(|(_, value)| value).collect())
        }
        _ => Err(Fault::new("a value has no items")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn render(text: &str) -> Result<String, Fault> {
        let values = json!({
            "app": {"metadata": {"name": "web", "labels": {"team": "shop", "a/b": "c d"}, "none": null},
                "spec": {"sources": [{"repoURL": "one"}, {"repoURL": "two"}]}, "count": 3},
            "empty": {},
        });
        parse(text).unwrap().render(&values, &mut Budget::default())
    }

    #[test]
    fn templates_make_texts() {
        for (text, made) in [
            ("plain", "plain"),
            (
                "https://a/{{.app.metadata.name}}?x={{ $.app.count }}",
                "https://a/web?x=3",
            ),
            ("{{ index .app.metadata.labels \"a/b\" | urlquery }}", "c+d"),
            ("{{ (index .app.spec.sources 1).repoURL }}", "two"),
            (
                "{{ .app.nothing }} {{ .app.nothing.below }}",
                "<no value> <no value>",
            ),
            ("{{ .app.metadata.none }}", "<no value>"),
            (
                "{{ .app.nothing | default \"x\" | upper | quote }}",
                "\"X\"",
            ),
            ("a {{- /* left out */ -}} b", "ab"),
            ("a {{- .app.count -}} b", "a3b"),
            (
                "{{ if eq .app.metadata.name `web` }}y{{ else }}n{{ end }}",
                "y",
            ),
            (
                "{{ if .empty }}y{{ else if .app.count }}m{{ else }}n{{ end }}",
                "m",
            ),
            ("{{ with .app.metadata }}{{ .name }}{{ end }}", "web"),
            (
                "{{ with .app.nothing }}{{ . }}{{ else }}{{ .app.count }}{{ end }}",
                "3",
            ),
            (
                "{{ range .app.spec.sources }}{{ .repoURL }},{{ $.app.count }};{{ end }}",
                "one,3;two,3;",
            ),
            (
                "{{ range .app.metadata.labels }}{{ . }};{{ end }}",
                "c d;shop;",
            ),
            ("{{ range .empty }}{{ . }}{{ else }}none{{ end }}", "none"),
            ("{{ .app.metadata.labels }}", "map[a/b:c d team:shop]"),
            ("{{ \"}}\" }}{{ \"\\\"\" }}", "}}\""),
            ("{{ or .app.nothing (and true -2) }}", "-2"),
            ("{{ or 1 .app.metadata.none.below }}", "1"),
        ] {
            assert_eq!(render(text).as_deref(), Ok(made), "{text}");
        }
    }

    #[test]
    fn what_is_not_made_for_the_values_is_a_fault() {
        for text in [
            "{{ .app.metadata.name.first }}",
            "{{ .app.metadata.none.below }}",
            "{{ .app.nothing | upper }}",
            "{{ upper 3 }}",
            "{{ range .app.count }}{{ end }}",
            "{{ index .app.spec.sources 2 }}",
        ] {
            assert!(render(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_not_understood_is_named() {
        let word = |word: &str, at| {
            Err(Misread::Word {
                word: word.to_owned(),
                at,
            })
        };
        for (text, why) in [
            ("{{ env \"HOME\" }}", word("env", 4)),
            ("{{ .a | expandenv }}", word("expandenv", 9)),
            ("{{ $x := .a }}", word("=", 8)),
            ("{{ $x }}", word("x", 5)),
            ("{{ template \"a\" }}", word("template", 4)),
            ("{{ upper .a .b }}", word("upper", 4)),
            ("{{ .a .b }}", word(".", 7)),
            ("{{ ..a }}", word(".", 5)),
            ("{{ .a | .b }}", word(".", 9)),
            ("{{ end }}", word("end", 4)),
            ("{{ if .a }}{{ end .b }}", word(".", 19)),
            ("{{ if .a }}{{ else when .b }}{{ end }}", word("when", 20)),
            ("{{ 'a' }}", word("'a'", 4)),
            ("{{ if .a }}", Err(Misread::End)),
            ("{{ .a", Err(Misread::End)),
            ("{{ (.a }}", Err(Misread::End)),
            ("{{ }}", Err(Misread::End)),
            ("{{ /* }}", Err(Misread::End)),
        ] {
            assert_eq!(parse(text).map(drop), why, "{text}");
        }
    }

    #[test]
    fn s01_nothing_is_too_deep_too_long_or_too_much() {
        for text in [
            format!("{{{{ {}", "(".repeat(2_000)) + " }}",
            "{{ if .a }}".repeat(300),
            "x".repeat(MAX_TEXT + 1),
        ] {
            assert_eq!(parse(&text).map(drop), Err(Misread::TooLarge));
        }
        let many = json!({"a": vec![1; 1_000]});
        let nested = "{{ range .a }}{{ range $.a }}{{ range $.a }}{{ end }}{{ end }}{{ end }}";
        let budget = &mut Budget::default();
        assert!(parse(nested).unwrap().render(&many, budget).is_err());
        // Nothing is left for whatever comes next.
        assert!(parse("{{ 1 }}").unwrap().render(&many, budget).is_err());
        let budget = &mut Budget::default();
        let long = json!({"a": "x".repeat(10_000)});
        let twice = parse("{{ .a }}{{ .a }}").unwrap();
        assert!(twice.render(&long, budget).is_err());
        let grows = parse("{{ replace \"x\" .a .a }}").unwrap();
        assert!(grows.render(&long, budget).is_err());
        let large = json!({"a": "x".repeat(1 << 20), "l": vec![0; 100_000]});
        for text in [
            "{{ .a }}",
            "{{ .l }}",
            "{{ upper .a }}",
            "{{ toJson .l }}",
            "{{ splitList \"\" .a }}",
            "{{ fromJson .a }}",
            "{{ range .l }}{{ end }}",
            "{{ eq .l .l }}",
        ] {
            let template = parse(text).unwrap();
            assert!(template.render(&large, budget).is_err(), "{text}");
        }
    }

    #[test]
    fn s01_what_is_done_takes_steps_by_how_large_it_is() {
        let values = json!({
            "a": "x".repeat(60_000), "j": json!({"a": 1, "l": vec![0; 30_000]}).to_string(), "l": vec![""; 100_000],
            "names": ["web", "db"],
        });
        let render = |text: &str| parse(text).unwrap().render(&values, &mut Budget::default());
        for (once, times) in [
            ("{{ trimAll .a .a }}", 40),
            ("{{ contains .a .a }}", 40),
            ("{{ (fromJson .j).a }}", 40),
            ("{{ with fromJson .j }}{{ if . }}{{ end }}{{ end }}", 20),
            ("{{ regexMatch \"^yyyyyyyyyyyyyyyyyyyy$\" \"y\" }}", 40),
        ] {
            assert!(render(once).is_ok(), "{once}");
            assert!(render(&once.repeat(times)).is_err(), "{times} of {once}");
        }
        let inside =
            "{{ with fromJson .j }}".to_owned() + &"{{ if . }}{{ end }}".repeat(60) + "{{ end }}";
        assert!(render(&inside).is_err(), "each is a copy");
        let inside = "{{ with fromJson .j }}".to_owned() + &"{{ .a }}".repeat(60) + "{{ end }}";
        assert_eq!(
            render(&inside),
            Ok("1".repeat(60)),
            "only what is asked for"
        );
        assert!(render("{{ join \"\" .l }}").is_err());
        let long = format!("{{{{ regexMatch \"{}\" \"y\" }}}}", "y?".repeat(129));
        assert!(render(&long).is_err());
        // What people write is far from the end.
        let usual =
            "{{ join \",\" .names | upper | regexReplaceAll \"[A-Z]+\" \"a,b\" | urlquery }}";
        assert!(render(&usual.repeat(20)).is_ok());
    }
}
