//! Why something is as it is: typed reasons, never just a string.

use serde::{Deserialize, Serialize};

use crate::message::{Language, Message};
use crate::resource::ResourceKey;

/// A place in a repository.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Location {
    /// The file, from the repository's root.
    pub path: String,
    /// The line, from 1; 0 when only the file is known.
    pub line: u32,
}

impl std::fmt::Display for Location {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.line == 0 {
            f.write_str(&self.path)
        } else {
            write!(f, "{}:{}", self.path, self.line)
        }
    }
}

/// What a cause does to its application.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Severity {
    /// The application works; somebody should still look. Shown on green applications too.
    Warning,
    /// It explains a state that is not Synced and Healthy.
    Reason,
    /// The comparison or the sync could not be done.
    Error,
}

/// A typed reason: code, resource, field, file, line, evidence, fix.
///
/// Stored as code and arguments, rendered in the reader's language on read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cause {
    /// What happened and what to do about it.
    pub message: Message,
    /// How bad it is.
    pub severity: Severity,
    /// The object concerned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource: Option<ResourceKey>,
    /// The field concerned, as a dotted path (`spec.ports[0].port`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// Where to edit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<Location>,
    /// What the cluster or the tool said, word for word, secrets removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<String>,
    /// The variables that the field's value was made of where it is written, `A, B`; never their values.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variable: Option<Box<str>>,
}

impl Cause {
    /// A cause with nothing but its message.
    #[must_use]
    pub fn new(severity: Severity, message: Message) -> Self {
        Self {
            message,
            severity,
            resource: None,
            field: None,
            location: None,
            evidence: None,
            variable: None,
        }
    }

    /// Short for [`Severity::Error`].
    #[must_use]
    pub fn error(message: Message) -> Self {
        Self::new(Severity::Error, message)
    }

    /// Short for [`Severity::Reason`].
    #[must_use]
    pub fn reason(message: Message) -> Self {
        Self::new(Severity::Reason, message)
    }

    /// Short for [`Severity::Warning`].
    #[must_use]
    pub fn warning(message: Message) -> Self {
        Self::new(Severity::Warning, message)
    }

    /// Names the object.
    #[must_use]
    pub fn on(mut self, resource: ResourceKey) -> Self {
        self.resource = Some(resource);
        self
    }

    /// Names the field.
    #[must_use]
    pub fn field(mut self, field: impl Into<String>) -> Self {
        self.field = Some(field.into());
        self
    }

    /// Names the place to edit.
    #[must_use]
    pub fn located(mut self, location: Option<Location>) -> Self {
        self.location = location;
        self
    }

    /// Names the variables that the field's value was made of.
    #[must_use]
    pub fn variable(mut self, variable: Option<Box<str>>) -> Self {
        self.variable = variable;
        self
    }

    /// Keeps what was said.
    #[must_use]
    pub fn evidence(mut self, evidence: impl Into<String>) -> Self {
        self.evidence = Some(evidence.into());
        self
    }

    /// The whole cause on one line: `text (resource, field, ${VARIABLE}, file:line): evidence [code]`.
    #[must_use]
    pub fn render(&self, language: Language) -> String {
        let mut line = self.message.render(language);
        let mut places = Vec::new();
        places.extend(self.resource.as_ref().map(ToString::to_string));
        places.extend(self.field.clone());
        let names = self.variable.iter().flat_map(|names| names.split(", "));
        places.extend(names.map(|name| format!("${{{name}}}")));
        places.extend(self.location.as_ref().map(ToString::to_string));
        if !places.is_empty() {
            line.push_str(&format!(" ({})", places.join(", ")));
        }
        if let Some(evidence) = &self.evidence {
            line.push_str(": ");
            line.push_str(evidence);
        }
        line.push_str(&format!(" [{}]", self.message.code));
        line
    }
}
