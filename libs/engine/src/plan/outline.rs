//! A plan as people read it before it is carried out: what each step would do and why, and what would be left alone.
//!
//! It is made of a plan and of what the plan was made of, so that it says what a sync does and nothing besides. Of fields
//! it has the paths alone, never a value.

use std::collections::{BTreeMap, HashMap, HashSet};

use domain::cause::{Cause, Location, Severity};
use domain::manifest::Replaced;
use domain::message::{self, Message};
use domain::resource::{ResourceKey, text};
use domain::status::SyncCode;

use super::{
    Action, How, Kept, Plan, Request, Step, SyncPhase, chosen, dispensable, runs_hooks, wanted,
};
use crate::compare::{Compared, Comparison, Difference, Live, leaves_out};
use crate::hooks::{self, Before, DeletePolicy};
use crate::options::Role;
use crate::prepare::{Prepared, Target};

/// How much is listed; of the rest it is said how much there is.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Steps.
    pub steps: usize,
    /// Objects that are left alone.
    pub left: usize,
    /// Fields of one object.
    pub fields: usize,
}

/// What a sync would do.
#[derive(Clone, Debug, Default)]
pub struct Outline {
    /// The phases that have a step, in order.
    pub phases: Vec<Phase>,
    /// What would be left alone.
    pub left: Vec<Left>,
    /// How many steps there are of each deed, whether listed or not.
    pub counts: BTreeMap<&'static str, usize>,
    /// How many steps are not listed.
    pub more_steps: usize,
    /// How many objects that are left alone are not listed.
    pub more_left: usize,
}

/// One phase.
#[derive(Clone, Debug)]
pub struct Phase {
    /// Which.
    pub phase: SyncPhase,
    /// Its waves, in order.
    pub waves: Vec<Wave>,
}

impl Phase {
    /// Whether it comes only when something fails.
    #[must_use]
    pub fn on_failure(&self) -> bool {
        self.phase == SyncPhase::SyncFail
    }
}

/// One wave of a phase.
#[derive(Clone, Debug)]
pub struct Wave {
    /// Its number; none for what comes before all waves.
    pub wave: Option<i64>,
    /// Its steps, in order.
    pub lines: Vec<Line>,
}

/// What is done to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    /// The destination's namespace is made, or gets what is wanted on it.
    Namespace,
    /// It is made.
    Create,
    /// It is changed.
    Update,
    /// It is applied as it is already.
    Unchanged,
    /// It is replaced as a whole.
    Replace,
    /// It is deleted and made anew.
    Force,
    /// It left Git and is deleted.
    Prune,
    /// What an earlier run of a hook left is deleted.
    DeleteHook,
    /// A hook is made.
    CreateHook,
}

impl Deed {
    /// The word on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Namespace => "namespace",
            Self::Create => "create",
            Self::Update => "update",
            Self::Unchanged => "unchanged",
            Self::Replace => "replace",
            Self::Force => "force",
            Self::Prune => "prune",
            Self::DeleteHook => "hook-delete",
            Self::CreateHook => "hook-create",
        }
    }
}

/// One step.
#[derive(Clone, Debug)]
pub struct Line {
    /// Which object. A hook that is named when it is made has the beginning of its name.
    pub key: ResourceKey,
    /// Its version.
    pub version: String,
    /// What is done to it.
    pub deed: Deed,
    /// Why, the most telling first.
    pub why: Vec<Cause>,
    /// The fields that would be changed.
    pub fields: Vec<Change>,
    /// How many more there are.
    pub more_fields: usize,
    /// Where it is written.
    pub location: Option<Location>,
    /// The variables that were replaced there.
    pub replaced: Vec<Replaced>,
    /// When its object goes, where it is a hook's.
    pub hook: Option<DeletePolicy>,
    /// How it is applied, where it is.
    pub how: Option<How>,
}

/// A field that would be changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Its dotted path.
    pub path: String,
    /// How.
    pub kind: ChangeKind,
    /// Where Git says it.
    pub location: Option<Location>,
    /// The variables that Git's value was made of.
    pub variable: Option<Box<str>>,
}

/// How a field would be changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeKind {
    /// It is not there, and comes.
    Add,
    /// It gets another value.
    Change,
    /// It goes.
    Remove,
}

impl ChangeKind {
    /// The word on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Add => "add",
            Self::Change => "change",
            Self::Remove => "remove",
        }
    }
}

/// An object that would be left alone, as a whole or in part.
#[derive(Clone, Debug)]
pub struct Left {
    /// Which.
    pub key: ResourceKey,
    /// Its version; empty where it is not known.
    pub version: String,
    /// Why, in a word.
    pub reason: Reason,
    /// Why, in a sentence.
    pub why: Cause,
}

/// Why an object is left alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It left Git, and pruning is not asked for.
    PruneNotAsked,
    /// It left Git, and shall not be deleted.
    PruneDisabled,
    /// It left Git, and a person has to confirm its deletion.
    NeedsConfirmation,
    /// The settings leave its kind out.
    Excluded,
    /// Its hook annotation says `Skip`.
    Skipped,
    /// Some of its fields are left as they are.
    FieldsIgnored,
    /// It is not among those that were asked for.
    NotSelected,
    /// It is as Git says, and only what is not is applied.
    InSync,
    /// Hooks do not run in such a sync.
    HookNotRun,
}

impl Reason {
    /// The word on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PruneNotAsked => "prune-not-asked",
            Self::PruneDisabled => "prune-disabled",
            Self::NeedsConfirmation => "needs-confirmation",
            Self::Excluded => "excluded",
            Self::Skipped => "skipped",
            Self::FieldsIgnored => "fields-ignored",
            Self::NotSelected => "not-selected",
            Self::InSync => "in-sync",
            Self::HookNotRun => "hook-not-run",
        }
    }

    fn message(self) -> message::Code {
        use domain::message::plan as m;
        match self {
            Self::PruneNotAsked => m::PRUNE_NOT_ASKED,
            Self::PruneDisabled => m::PRUNE_DISABLED,
            Self::NeedsConfirmation => m::NEEDS_CONFIRMATION,
            Self::Excluded => message::sync::EXCLUDED_RESOURCE,
            Self::Skipped => m::SKIPPED,
            Self::FieldsIgnored => m::FIELDS_IGNORED,
            Self::NotSelected => m::NOT_SELECTED,
            Self::InSync => m::IN_SYNC,
            Self::HookNotRun => m::HOOK_NOT_RUN,
        }
    }
}

/// Puts a plan into words. The other arguments are those that it was made of.
#[must_use]
pub fn outline(
    plan: &Plan,
    prepared: &Prepared,
    comparison: &Comparison,
    request: &Request<'_>,
    bounds: Bounds,
) -> Outline {
    let mut writer = Writer {
        known: Known::new(prepared, comparison, request),
        made: HashSet::new(),
        listed: 0,
        bounds,
        outline: Outline::default(),
    };
    for wave in plan.waves() {
        writer.wave(wave);
    }
    // All of them are of one wave.
    writer.wave(&plan.on_failure);
    if plan.refusals.is_empty() {
        for compared in &comparison.resources {
            writer.untouched(compared);
        }
    }
    let excluded = |cause: &&Cause| cause.message.is(&message::sync::EXCLUDED_RESOURCE);
    for cause in prepared.causes.iter().filter(excluded) {
        if let Some(key) = &cause.resource {
            writer.leaves(key, "", Reason::Excluded, cause.clone());
        }
    }
    writer.outline
}

/// What is looked up of each step.
struct Known<'a> {
    prepared: &'a Prepared,
    comparison: &'a Comparison,
    request: &'a Request<'a>,
    live: HashMap<&'a ResourceKey, &'a Live<'a>>,
    /// The hooks that are named when they are made, by the names that they would have now.
    unnamed: HashMap<ResourceKey, &'a Target>,
    /// What was noticed of objects, besides what of them differs.
    noticed: HashMap<&'a ResourceKey, Vec<&'a Cause>>,
}

impl<'a> Known<'a> {
    fn new(prepared: &'a Prepared, comparison: &'a Comparison, request: &'a Request<'a>) -> Self {
        let mut unnamed = HashMap::new();
        for target in prepared.targets.iter().filter(|target| is_unnamed(target)) {
            for phase in hooks::phases(&target.object) {
                let of_phase = hooks::object(&target.key, &target.object, &request.attempt, phase);
                unnamed.insert(of_phase.0, target);
            }
        }
        let mut noticed: HashMap<_, Vec<&Cause>> = HashMap::new();
        // Reasons say what differs, with its values.
        let remarks = comparison.causes.iter();
        for cause in remarks.filter(|cause| cause.severity != Severity::Reason) {
            if let Some(key) = &cause.resource {
                noticed.entry(key).or_default().push(cause);
            }
        }
        Self {
            prepared,
            comparison,
            request,
            live: request.live.iter().map(|live| (&live.key, live)).collect(),
            unnamed,
            noticed,
        }
    }

    fn target(&self, key: &ResourceKey) -> Option<&'a Target> {
        let compared = self.comparison.find(key);
        compared
            .and_then(|compared| self.prepared.targets.get(compared.target?))
            .or_else(|| self.unnamed.get(key).copied())
    }
}

/// Whether an object is a hook that is named when it is made.
fn is_unnamed(target: &Target) -> bool {
    target.role == Role::Hook && text(&target.object, &["metadata", "name"]).is_empty()
}

struct Writer<'a> {
    known: Known<'a>,
    /// The hooks that the steps so far would have made.
    made: HashSet<ResourceKey>,
    listed: usize,
    bounds: Bounds,
    outline: Outline,
}

impl Writer<'_> {
    /// Steps of one phase and wave.
    fn wave(&mut self, steps: &[Step]) {
        let Some(first) = steps.first() else {
            return;
        };
        let mut lines = Vec::new();
        for step in steps {
            match &step.action {
                Action::Keep(kept) => self.kept(step, *kept),
                Action::Apply { how, .. } if step.hook.is_some() => {
                    self.hook(step, *how, &mut lines);
                }
                Action::Apply { how, exists, .. } => self.applied(step, *how, *exists, &mut lines),
                Action::CreateNamespace { .. } => self.namespace(step, &mut lines),
                Action::Prune { .. } => {
                    let why = message::plan::LEFT_GIT.with("resource", &step.key);
                    self.line(step, Deed::Prune, why, &mut lines);
                }
            }
        }
        if lines.is_empty() {
            return;
        }
        let wave = Wave {
            wave: (first.wave != i64::MIN).then_some(first.wave),
            lines,
        };
        match self.outline.phases.last_mut() {
            Some(last) if last.phase == first.phase => last.waves.push(wave),
            _ => self.outline.phases.push(Phase {
                phase: first.phase,
                waves: vec![wave],
            }),
        }
    }

    /// Counts a step, and gives its line to whoever has more to say of it; none where it is not listed any more.
    fn line<'l>(
        &mut self,
        step: &Step,
        deed: Deed,
        why: Message,
        lines: &'l mut Vec<Line>,
    ) -> Option<&'l mut Line> {
        *self.outline.counts.entry(deed.as_str()).or_default() += 1;
        if self.listed >= self.bounds.steps {
            self.outline.more_steps += 1;
            return None;
        }
        self.listed += 1;
        let target = self.known.target(&step.key);
        let location = target.and_then(|target| target.location.clone());
        let key = named(step, target);
        let why = Cause::reason(why).on(key.clone());
        let mut causes = vec![why.located(location.clone())];
        let noticed = self.known.noticed.get(&step.key);
        causes.extend(noticed.into_iter().flatten().copied().cloned());
        lines.push(Line {
            key,
            version: step.version.clone(),
            deed,
            why: causes,
            fields: Vec::new(),
            more_fields: 0,
            location,
            replaced: target.map_or_else(Vec::new, |target| target.replaced.to_vec()),
            hook: step.hook,
            how: None,
        });
        lines.last_mut()
    }

    fn namespace(&mut self, step: &Step, lines: &mut Vec<Line>) {
        let code = match self.known.request.namespace_exists {
            true => message::plan::NAMESPACE_METADATA,
            false => message::plan::NAMESPACE,
        };
        let why = code.with("namespace", &step.key.name);
        self.line(step, Deed::Namespace, why, lines);
    }

    fn applied(&mut self, step: &Step, how: How, exists: bool, lines: &mut Vec<Line>) {
        let compared = self.known.comparison.find(&step.key);
        let sync = compared.and_then(|compared| compared.sync);
        let forces = how.force && dispensable(&step.key);
        let deed = match (exists, how.replace, sync) {
            (false, ..) => Deed::Create,
            (true, true, _) if forces => Deed::Force,
            (true, true, _) => Deed::Replace,
            (true, false, Some(SyncCode::Synced)) => Deed::Unchanged,
            (true, false, _) => Deed::Update,
        };
        let differences = compared.map_or(&[][..], |compared| &compared.differences);
        let code = match deed {
            Deed::Create => message::plan::CREATES,
            Deed::Force => message::plan::ANEW,
            Deed::Replace => message::plan::REPLACES,
            Deed::Unchanged => message::plan::SAME,
            _ if differences.is_empty() => message::plan::UNKNOWN,
            _ => message::plan::DIFFERS,
        };
        let mut why = code.with("resource", &step.key);
        if code.id == message::plan::DIFFERS.id {
            why = why.with("count", differences.len());
        }
        let most = self.bounds.fields;
        let Some(line) = self.line(step, deed, why, lines) else {
            return;
        };
        line.how = Some(how);
        line.fields = differences.iter().take(most).map(change).collect();
        line.more_fields = differences.len().saturating_sub(most);
        if deed == Deed::Update && forces {
            let message = message::plan::PERHAPS_ANEW.with("resource", &step.key);
            line.why.push(Cause::reason(message).on(step.key.clone()));
        }
    }

    fn hook(&mut self, step: &Step, how: How, lines: &mut Vec<Line>) {
        if self.replaces_earlier(step) {
            let why = message::plan::HOOK_EARLIER.with("resource", &step.key);
            self.line(step, Deed::DeleteHook, why, lines);
        }
        let target = self.known.target(&step.key);
        let why = message::plan::HOOK
            .with("resource", named(step, target))
            .with("phase", step.phase.as_str());
        if let Some(line) = self.line(step, Deed::CreateHook, why, lines) {
            line.how = Some(how);
        }
        self.made.insert(step.key.clone());
    }

    /// Whether the object of an earlier run, or of an earlier phase, goes before a hook is made.
    fn replaces_earlier(&self, step: &Step) -> bool {
        let Some(policy) = step.hook else {
            return false;
        };
        if self.made.contains(&step.key) {
            return policy.before_creation;
        }
        let live = self.known.live.get(&step.key).map(|live| live.essentials);
        let run = self.known.request.attempt.run(step.phase.as_str());
        let way = hooks::before(policy, &run, live);
        matches!(way, Before::Delete | Before::Gone)
    }

    fn kept(&mut self, step: &Step, kept: Kept) {
        let reason = match kept {
            Kept::NotAsked => Reason::PruneNotAsked,
            Kept::Annotated => Reason::PruneDisabled,
            Kept::Unconfirmed => Reason::NeedsConfirmation,
        };
        self.leave(&step.key, &step.version, reason);
    }

    /// Notes what a sync would not touch of either side.
    fn untouched(&mut self, compared: &Compared) {
        let request = self.known.request;
        let targets = &self.known.prepared.targets;
        let target = compared.target.and_then(|at| targets.get(at));
        let reason = match (compared.role, target) {
            (Role::Skipped, Some(_)) => Reason::Skipped,
            (Role::Hook, Some(target))
                if !runs_hooks(request.sync) && !hooks::phases(&target.object).is_empty() =>
            {
                Reason::HookNotRun
            }
            (Role::Ordinary, _) if !chosen(compared, request) => {
                // The others would not be missed.
                if compared.sync != Some(SyncCode::OutOfSync) {
                    return;
                }
                Reason::NotSelected
            }
            (Role::Ordinary, Some(_)) if !wanted(compared, request) => Reason::InSync,
            (Role::Ordinary, Some(_))
                if request.options.respect_ignored
                    && compared.live
                    && leaves_out(request.ignore.rules, &compared.key) =>
            {
                Reason::FieldsIgnored
            }
            _ => return,
        };
        self.leave(&compared.key, &compared.version, reason);
    }

    fn leave(&mut self, key: &ResourceKey, version: &str, reason: Reason) {
        let location = self.known.target(key).and_then(|t| t.location.clone());
        let cause = Cause::reason(reason.message().with("resource", key)).on(key.clone());
        self.leaves(key, version, reason, cause.located(location));
    }

    fn leaves(&mut self, key: &ResourceKey, version: &str, reason: Reason, why: Cause) {
        if self.outline.left.len() >= self.bounds.left {
            self.outline.more_left += 1;
            return;
        }
        self.outline.left.push(Left {
            key: key.clone(),
            version: version.to_owned(),
            reason,
            why,
        });
    }
}

/// The object of a step as it can be known before: of one that is named when it is made, the beginning of its name.
fn named(step: &Step, target: Option<&Target>) -> ResourceKey {
    match target.filter(|target| is_unnamed(target)) {
        Some(target) => target.key.clone(),
        None => step.key.clone(),
    }
}

fn change(difference: &Difference) -> Change {
    let kind = match (&difference.want, &difference.got) {
        (None, _) => ChangeKind::Remove,
        (Some(_), None) => ChangeKind::Add,
        (Some(_), Some(_)) => ChangeKind::Change,
    };
    Change {
        path: difference.path.clone(),
        kind,
        location: difference.location.clone(),
        variable: difference.variable.clone(),
    }
}
