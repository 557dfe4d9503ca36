//! S07: secrets are planted wherever the product takes one, everything it does is done, and all that it says is searched.
//! A value may appear where the table says, and nowhere else.

mod canary;
mod places;
mod world;

use anyhow::Result;

use canary::{Canary, Outputs};
use places::{MAY, May};
use world::World;

#[tokio::test]
async fn s07_no_secret_appears_where_the_table_does_not_say() -> Result<()> {
    let mut world = World::make().await?;
    world.connect().await?;
    world.deploy().await?;
    world.read().await?;
    world.fail().await?;
    world.by_command().await?;
    world.read().await?;
    world.beneath().await?;
    let (outputs, canaries) = world.end().await?;
    judge(&outputs, &canaries).await
}

/// Red is a value in a place that the table does not give it, and a row that gives what nothing needs.
async fn judge(outputs: &Outputs, canaries: &[Canary]) -> Result<()> {
    let found = outputs.search(canaries).await?;
    let may =
        |row: &&May, name: &str, place: &str| row.value == name && places::covers(row.place, place);
    let leaks: Vec<String> = found
        .iter()
        .filter(|((name, place), _)| !MAY.iter().any(|row| may(&row, name, place)))
        .map(|((name, place), around)| format!("{name} in {place}: {around}"))
        .collect();
    assert!(leaks.is_empty(), "secrets leak:\n{}", leaks.join("\n"));
    for row in MAY {
        assert!(
            canaries.iter().any(|canary| canary.name == row.value),
            "the table names `{}`, which is not planted",
            row.value
        );
        assert!(
            found.keys().any(|(name, place)| may(&row, name, place)),
            "`{}` is not in {} any more: the row can go ({})",
            row.value,
            row.place,
            row.why
        );
    }
    for place in places::SEARCHED {
        assert!(
            outputs
                .places()
                .iter()
                .any(|kept| places::covers(place, kept)),
            "nothing of {place} was searched"
        );
    }
    Ok(())
}
