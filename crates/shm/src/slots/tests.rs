//! The allocator against a model that marks every single byte.

use proptest::prelude::*;

use super::{ALIGNMENT, Slots};

/// One flag a byte; a slot is found by trying every aligned offset.
struct Bytes {
    used: Vec<bool>,
    slots: Vec<(usize, usize)>,
}

impl Bytes {
    fn take(&mut self, length: usize) -> Option<usize> {
        let length = length.max(1);
        let offset = (0..self.used.len()).step_by(ALIGNMENT).find(|&offset| {
            self.used.get(offset..offset + length).is_some_and(|range| range.iter().all(|used| !used))
        })?;
        self.used[offset..offset + length].fill(true);
        self.slots.push((offset, length));
        Some(offset)
    }

    fn free(&mut self, offset: usize) -> bool {
        let Some(index) = self.slots.iter().position(|slot| slot.0 == offset) else { return false };
        let (offset, length) = self.slots.remove(index);
        self.used[offset..offset + length].fill(false);
        true
    }
}

#[derive(Clone, Debug)]
enum Step {
    Take(usize),
    FreeNth(usize),
    FreeAt(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..400usize).prop_map(Step::Take),
        3 => (0..20usize).prop_map(Step::FreeNth),
        1 => (0..2100usize).prop_map(Step::FreeAt),
    ]
}

proptest! {
    #[test]
    fn agrees_with_the_model(bytes in 0..2100usize, steps in prop::collection::vec(step(), 0..200)) {
        let mut slots = Slots::new(bytes);
        let mut model = Bytes { used: vec![false; bytes], slots: Vec::new() };
        for step in steps {
            match step {
                Step::Take(length) => prop_assert_eq!(slots.take(length), model.take(length)),
                Step::FreeAt(offset) => prop_assert_eq!(slots.free(offset), model.free(offset)),
                Step::FreeNth(nth) => {
                    if let Some(&(offset, _)) = model.slots.get(nth) {
                        prop_assert!(slots.free(offset) && model.free(offset));
                    }
                }
            }
        }
    }
}

#[test]
fn takes_and_frees() {
    let mut slots = Slots::new(256);
    let cases = [(60, Some(0)), (65, Some(64)), (0, Some(192)), (1, None), (usize::MAX, None)];
    for (length, expected) in cases {
        assert_eq!(slots.take(length), expected, "{length} bytes");
    }
    assert!(slots.free(64) && !slots.free(64) && !slots.free(128));
    assert_eq!(slots.take(128), Some(64));
    assert_eq!(Slots::new(0).take(0), None);
    assert_eq!(Slots::new(100).take(100), Some(0));
}
