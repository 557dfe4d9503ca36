//! Text that is put together at random of what YAML is made of: it is read or refused, quickly, and never grows.

use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

use super::{MAX_DOCUMENTS, MAX_NODES, documents, json_file};

const PIECES: &[&str] = &[
    "- ",
    ": ",
    "? ",
    "a",
    "kind",
    "&a ",
    "&b ",
    "*a",
    "*b",
    "*c",
    "[",
    "]",
    "{",
    "}",
    ", ",
    "\n",
    "\n  ",
    "\n    ",
    "\n---\n",
    "\n...\n",
    "--- ",
    "!!str ",
    "!!binary ",
    "!!set ",
    "!x ",
    "!<tag:x> ",
    "|\n",
    "|+9\n",
    ">-\n",
    "\"",
    "'",
    "\\",
    "\\u0000",
    "\\xff",
    "<<: ",
    "<<: *a",
    "<<: [*a, *b]",
    "%YAML 9.9\n",
    "%TAG ! x\n",
    "#",
    " #x",
    "\u{feff}",
    "\t",
    "\0",
    "\u{85}",
    "\u{2028}",
    "한글",
    "~",
    "null",
    "1e999999999",
    "0x",
    "-.inf",
    "1:2:3",
    "2001-12-14t21:59:43.10-05:00",
    "=",
    "@",
    "`",
    "\r",
    "\r\n",
];
/// What ends a line.
const BREAKS: [char; 5] = ['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}'];
/// Far more than any of these takes, on a machine that does much else.
const BOUND: Duration = Duration::from_secs(10);

#[test]
fn s02_whatever_is_put_together_is_read_or_refused() {
    let mut random = StdRng::seed_from_u64(2);
    let begun = Instant::now();
    let (mut read, mut refused) = (0, 0);
    for _ in 0..20_000 {
        let mut text = String::new();
        for _ in 0..random.random_range(1..40) {
            text.push_str(PIECES.choose(&mut random).unwrap());
        }
        let (all, broken) = documents(&text);
        for document in &all {
            assert!(document.nodes <= MAX_NODES, "{text:?}");
            assert!(
                document.line as usize <= text.matches(BREAKS).count() + 2,
                "{text:?}"
            );
        }
        match broken {
            Some(broken) => {
                assert!(!broken.why.is_empty() || broken.limit.is_some(), "{text:?}");
                refused += 1;
            }
            None => read += 1,
        }
        drop(json_file(&text));
    }
    assert!(
        read > 500 && refused > 5_000,
        "{read} read, {refused} refused"
    );
    assert!(begun.elapsed() < 6 * BOUND, "{:?}", begun.elapsed());
}

#[test]
fn s02_what_is_written_to_grow_meets_a_limit_soon() {
    let mut aliases = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    let mut merges = "a0: &a0 {k: v}\n".to_owned();
    for n in 1..40 {
        let before = n - 1;
        let ten = format!("*a{before}, ").repeat(10);
        aliases.push_str(&format!("a{n}: &a{n} [{ten}]\n"));
        merges.push_str(&format!(
            "a{n}: &a{n} {{<<: *a{before}, k{n}: {{<<: *a{before}}}}}\n"
        ));
    }
    let indented: String = (0..3_000)
        .map(|n| format!("{}a:\n", " ".repeat(n)))
        .collect();
    for (what, text) in [
        ("aliases of aliases", aliases),
        ("merges of merges", merges),
        ("documents", "a: 1\n---\n".repeat(1_000_000)),
        ("lists in lists", "[".repeat(1_000_000)),
        ("mappings in mappings", "{a: ".repeat(300_000)),
        ("dashes", "- ".repeat(500_000)),
        ("indents", indented),
        ("values", format!("[{}]", "0,".repeat(1_000_000))),
        (
            "anchors",
            (0..300_000).map(|n| format!("- &a{n} 0\n")).collect(),
        ),
        ("empty lists", "- []\n".repeat(500_000)),
    ] {
        let begun = Instant::now();
        let (all, broken) = documents(&text);
        let broken = broken.unwrap_or_else(|| panic!("{what}: {} documents", all.len()));
        assert!(broken.limit.is_some(), "{what}: {}", broken.why);
        assert!(all.len() <= MAX_DOCUMENTS, "{what}");
        assert!(begun.elapsed() < BOUND, "{what}: {:?}", begun.elapsed());
    }
    // A mistake before it is anything else.
    let (_, broken) = documents(&"? ".repeat(500_000));
    assert!(broken.is_some_and(|broken| broken.limit.is_none()));
    // Long, and not many: taken as they are.
    for (what, text) in [
        ("a long text", format!("a: {}\n", "x".repeat(8 << 20))),
        (
            "a long block",
            format!("a: |\n{}", "  x\n".repeat(2_000_000)),
        ),
        ("a long key", format!("{}: 1\n", "k".repeat(900))),
        (
            "a long comment",
            format!("a: 1 # {}\n", "x".repeat(8 << 20)),
        ),
        ("empty documents", "---\n".repeat(1_000_000)),
        ("empty lines", format!("a: 1{}", "\n".repeat(8 << 20))),
    ] {
        let begun = Instant::now();
        let (all, broken) = documents(&text);
        assert!(broken.is_none() && all.len() <= 1, "{what}: {broken:?}");
        assert!(begun.elapsed() < BOUND, "{what}: {:?}", begun.elapsed());
    }
}
