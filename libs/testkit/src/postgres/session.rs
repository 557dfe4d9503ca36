//! One connection that is asked again and again, where a psql for each question would cost more than its answer.

use std::process::Stdio;

use anyhow::{Context, Result, bail};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout};
use url::Url;

use super::{program, psql};

/// A psql that stays. The first mistake ends it.
#[derive(Debug)]
pub struct Session {
    process: Child,
    questions: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

impl Session {
    /// To the database of a URL, as the role that it names.
    ///
    /// # Errors
    /// When there is no psql. Whether the database can be reached shows with the first question.
    pub fn open(url: &str) -> Result<Self> {
        let url = Url::parse(url).context("this is no URL of a database")?;
        let mut process = psql(&program()?, url)?
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("cannot run psql")?;
        let questions = process.stdin.take().context("a pipe")?;
        let answers = process.stdout.take().context("a pipe")?;
        Ok(Self {
            process,
            questions,
            answers: BufReader::new(answers).lines(),
        })
    }

    /// What one statement answers, which must be one row, on one line.
    ///
    /// # Errors
    /// What PostgreSQL said, which has ended the session.
    pub async fn ask(&mut self, statement: &str) -> Result<String> {
        let question = format!("{statement};\n");
        // Where it has ended already, its last words say more than the broken pipe.
        let answer = match self.questions.write_all(question.as_bytes()).await {
            Ok(()) => self.answers.next_line().await?,
            Err(_) => None,
        };
        if let Some(answer) = answer {
            return Ok(answer);
        }
        let mut said = String::new();
        if let Some(errors) = &mut self.process.stderr {
            errors.read_to_string(&mut said).await?;
        }
        bail!("PostgreSQL answers no more: {}", said.trim())
    }
}
