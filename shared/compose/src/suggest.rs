//! "Did you mean …?"

use crate::{cx::Cx, limits::MAX_COMPARISONS};

impl Cx {
    /// [`nearest`], as long as the file has not asked for too many comparisons.
    pub(crate) fn nearest<'w>(&self, word: &str, words: impl Iterator<Item = &'w str>) -> Option<&'w str> {
        let left = MAX_COMPARISONS.saturating_sub(self.comparisons.get());
        let counted = words
            .take(left)
            .inspect(|_| self.comparisons.set(self.comparisons.get() + 1));
        nearest(word, counted)
    }
}

/// Most edits between a word and the one that was probably meant.
const MAX_EDITS: usize = 2;

/// The word that was probably meant.
pub(crate) fn nearest<'w>(word: &str, words: impl Iterator<Item = &'w str>) -> Option<&'w str> {
    const LONGEST: usize = 64;
    if word.len() > LONGEST {
        return None;
    }
    let lower = word.to_lowercase().replace('-', "_");
    words
        .map(|candidate| {
            (
                edits(&lower, &candidate.to_lowercase().replace('-', "_")),
                candidate,
            )
        })
        .filter(|(edits, candidate)| *edits <= MAX_EDITS && *edits * 2 < candidate.len().max(2))
        .min_by_key(|(edits, _)| *edits)
        .map(|(_, candidate)| candidate)
}

/// Insertions, deletions, replacements and swaps of neighbours between two words.
fn edits(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.chars().collect();
    let b: Vec<char> = b.chars().collect();
    let mut before: Vec<usize> = Vec::new();
    let mut previous: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replaced = previous[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replaced.min(previous[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(before[j - 2] + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut previous, row);
    }
    previous[b.len()]
}
