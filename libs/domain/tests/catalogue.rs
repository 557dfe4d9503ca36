//! docs/health.md lists every code of what an application, its sync, its objects and its cluster may say, and no other.

use std::collections::BTreeSet;
use std::path::Path;

use domain::message;

const AREAS: [&str; 4] = ["health.", "sync.", "app.", "cluster."];

#[test]
fn the_page_of_causes_lists_every_code_of_its_areas_once() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/health.md");
    let page = std::fs::read_to_string(page).unwrap();
    let mut listed = BTreeSet::new();
    for row in page.lines().filter_map(|line| line.strip_prefix("| `")) {
        let code = row.split('`').next().unwrap_or_default();
        if AREAS.iter().any(|area| code.starts_with(area)) {
            assert!(listed.insert(code), "{code} is listed twice");
        }
    }
    let there: BTreeSet<&str> = message::all()
        .map(|code| code.id)
        .filter(|id| AREAS.iter().any(|area| id.starts_with(area)))
        .collect();
    let missing: Vec<_> = there.difference(&listed).collect();
    let unknown: Vec<_> = listed.difference(&there).collect();
    assert!(
        missing.is_empty() && unknown.is_empty(),
        "docs/health.md lacks {missing:?}, and lists {unknown:?}, which there are not"
    );
}
