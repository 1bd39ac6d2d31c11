//! What one master leaves to the next: whatever is found there is a will or is none, and who reads
//! it can leave the same.

use super::will::{read, write};

/// `data`: a will, or what follows its header.
pub(crate) fn will(data: &[u8]) {
    let mut whole = write(&[]);
    whole.truncate(whole.len().saturating_sub(4));
    whole.extend_from_slice(data);
    for text in [data, &whole] {
        let Ok(records) = read(text) else {
            continue;
        };
        let again = write(&records);
        assert_eq!(read(&again), Ok(records));
        for end in (0..again.len()).take(64) {
            // What was cut off is not taken for the whole.
            assert!(read(again.get(..end).unwrap_or_default()).is_err());
        }
    }
}
