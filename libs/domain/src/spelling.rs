//! What somebody most likely meant.

/// The known word that is nearest to one that is not known, upper and lower case alike: with at most two letters otherwise
/// (of four and fewer, one), the first by the alphabet among equals.
#[must_use]
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let allowed = if word.chars().count() <= 4 { 1 } else { 2 };
    let lower = word.to_lowercase();
    known
        .into_iter()
        .map(|known| {
            let distance = strsim::osa_distance(&lower, &known.to_lowercase());
            (distance, known)
        })
        .filter(|(distance, _)| *distance <= allowed)
        .min()
        .map(|(_, near)| near)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_letters_otherwise_are_a_mistake_more_are_another_word() {
        let known = ["value", "values", "key", "object"];
        assert_eq!(nearest("valu", known), Some("value"));
        assert_eq!(nearest("OBJCET", known), Some("object"));
        assert_eq!(nearest("kye", known), Some("key"));
        assert_eq!(nearest("keks", known), None);
        assert_eq!(nearest("tenant", known), None);
    }
}
