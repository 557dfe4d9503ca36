//! Chance, and what goes wrong by it. Every draw is a function of the seed, of what is drawn for, and of how often that was
//! drawn for: what happens elsewhere in between changes nothing.

use std::collections::BTreeMap;

use crate::cluster::Verb;

/// What goes wrong with one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It does not get there.
    Lost,
    /// It is done, and nobody hears so.
    Answerless,
    /// The process ends while it is on its way, and it is done so many milliseconds later.
    Late(i64),
    /// Somebody else wrote at the same time.
    Conflict,
    /// Something that is asked about such objects says no.
    Refused,
    /// The process stands still for so many milliseconds before it.
    Pause(i64),
    /// The process ends before it.
    Crash,
    /// The process ends right after it.
    CrashAfter,
    /// The connection to the cluster breaks, and it has been done or has not.
    Cut {
        /// Whether it has.
        done: bool,
    },
}

impl Fault {
    /// What it is counted as, where it does anything to such a request.
    pub(crate) fn name(self, verb: Verb) -> Option<&'static str> {
        let writes = verb != Verb::Get;
        match self {
            Self::Lost => Some("lost"),
            Self::Pause(_) => Some("stood still"),
            Self::Crash => Some("ended before"),
            Self::Cut { .. } => Some("cut"),
            Self::Answerless => writes.then_some("answerless"),
            Self::Late(_) => writes.then_some("done late"),
            Self::CrashAfter => writes.then_some("ended after"),
            Self::Conflict => (verb == Verb::Merge).then_some("conflict"),
            Self::Refused => matches!(verb, Verb::Apply { .. }).then_some("refused"),
        }
    }
}

/// Where chance comes from.
#[derive(Debug)]
pub(crate) struct Dice {
    seed: u64,
    drawn: BTreeMap<String, u64>,
    /// Whether nothing goes wrong.
    pub(crate) calm: bool,
}

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            seed,
            drawn: BTreeMap::new(),
            calm: false,
        }
    }

    fn draw(&mut self, about: &str) -> u64 {
        let count = self.drawn.entry(about.to_owned()).or_default();
        *count += 1;
        // FNV-1a names what it is about, SplitMix64 spreads it.
        let named = about
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
                (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
            });
        mix(mix(self.seed ^ named).wrapping_add(*count))
    }

    /// A number below a bound.
    pub(crate) fn below(&mut self, about: &str, bound: usize) -> usize {
        let bound = u64::try_from(bound.max(1)).unwrap_or(1);
        usize::try_from(self.draw(about) % bound).unwrap_or_default()
    }

    /// So many milliseconds at most.
    pub(crate) fn millis(&mut self, about: &str, most: usize) -> i64 {
        i64::try_from(self.below(about, most)).unwrap_or_default()
    }

    pub(crate) fn chance(&mut self, about: &str, percent: usize) -> bool {
        self.below(about, 100) < percent
    }

    /// What goes wrong with a request.
    pub(crate) fn fault(&mut self, request: &str) -> Option<Fault> {
        if self.calm {
            return None;
        }
        match self.below(request, 1000) {
            0..8 => Some(Fault::Lost),
            8..18 => Some(Fault::Answerless),
            18..26 => Some(Fault::Late(1 + self.millis(request, 900))),
            26..34 => Some(Fault::Conflict),
            34..44 => Some(Fault::Refused),
            44..48 => Some(Fault::Pause(200 + self.millis(request, 8000))),
            48..52 => Some(Fault::Crash),
            52..56 => Some(Fault::CrashAfter),
            56..58 => Some(Fault::Cut {
                done: self.chance(request, 50),
            }),
            _ => None,
        }
    }
}

fn mix(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
