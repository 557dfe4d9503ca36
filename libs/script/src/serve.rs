//! The child: one job a line in, one answer a line out.

use std::io::{self, BufRead, Write};

use crate::{Answer, Job, Refusal, Verdict, jq, lua};

/// What the child says first, when it is confined.
pub(crate) const READY: &[u8] = b"ready\n";
/// How long a script's word, and its sentence, may be, in characters.
const MAX_WORD: usize = 64;
const MAX_SENTENCE: usize = 2_000;

/// How much memory the child may write to, in bytes. A large object takes some ten times its size here.
const MEMORY: u64 = 256 << 20;

/// Confines this process, then answers until there are no more jobs.
///
/// # Errors
/// When it cannot be confined, or nobody listens any more.
pub fn serve() -> io::Result<()> {
    sandbox::confine(MEMORY)?;
    let mut out = io::stdout().lock();
    out.write_all(READY)?;
    out.flush()?;
    for line in io::stdin().lock().lines() {
        let job = serde_json::from_str::<Job>(&line?)?;
        serde_json::to_writer(&mut out, &answer(&job))?;
        out.write_all(b"\n")?;
        out.flush()?;
    }
    Ok(())
}

/// Does a job.
pub(crate) fn answer(job: &Job) -> Result<Answer, Refusal> {
    let answer = match job {
        Job::Places {
            expressions,
            object,
        } => {
            let places = expressions.iter().map(|one| {
                let places = jq::places(one, object);
                places.map_err(|why| format!("`{one}`: {why}"))
            });
            let places: Result<Vec<_>, String> = places.collect();
            places.map(|places| Answer::Places(places.concat()))
        }
        Job::Health { script, object } => {
            let said = lua::health(script, object);
            said.map(|said| Answer::Health(said.map(bounded)))
        }
        Job::Actions { script, object } => lua::actions(script, object).map(Answer::Actions),
        Job::Act {
            script,
            object,
            parameters,
        } => lua::act(script, object, parameters).map(Answer::Changed),
    };
    answer.map_err(|why| Refusal::Failed(cut(why, MAX_SENTENCE)))
}

/// What a script says is shown, kept and sent to whoever watches: so much of it, and no more.
fn bounded(said: Verdict) -> Verdict {
    Verdict {
        status: cut(said.status, MAX_WORD),
        message: cut(said.message, MAX_SENTENCE),
    }
}

fn cut(mut text: String, most: usize) -> String {
    if let Some((end, _)) = text.char_indices().nth(most) {
        text.truncate(end);
        text.push('…');
    }
    text
}
