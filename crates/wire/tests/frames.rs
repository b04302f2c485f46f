//! Frames, however a stream delivers them.

#![allow(clippy::unwrap_used)] // helpers of tests, which the lint does not know as tests

mod support;

use modrun_core::Seq;
use modrun_wire::{
    Batch, Credit, Error, Failed, Form, Frames, FromStage, MESSAGE_BYTES_MAX, Place, State, ToStage,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use support::streams::{Encode, Pieces, check};

fn inline(length: usize) -> Batch {
    Batch {
        seq: Seq(7),
        place: Place::Inline,
        length: length as u32,
        rows: 1,
        form: Form::Table,
        input: None,
    }
}

/// Frames of all sizes around those of the reader's buffer.
fn frame() -> impl Strategy<Value = (FromStage, Vec<u8>)> {
    let lengths = select(vec![0, 1, 15, 16, 100, 65_000, 65_484, 65_485, 65_536, 65_537, 200_000]);
    let text = select(vec![0, 1, 50, 65_530, 70_000]);
    prop_oneof![
        4 => any::<u32>().prop_map(|events| {
            (FromStage::Credit(Credit { seq: Seq(3), events, filtered: 1 }), vec![])
        }),
        3 => (lengths.clone(), any::<u8>())
            .prop_map(|(length, byte)| (FromStage::Batch(inline(length)), vec![byte; length])),
        1 => lengths.prop_map(|length| (FromStage::State(State { index: 1 }), vec![b's'; length])),
        1 => text.prop_map(|length| {
            (FromStage::Failed(Failed { detail: "x".repeat(length), ..Failed::default() }), vec![])
        }),
    ]
}

proptest! {
    #[test]
    fn every_frame_arrives_as_it_was_sent(
        frames in vec(frame(), 0..12),
        piece in select(vec![1_000, 4_096, 65_536, usize::MAX]),
        cut in any::<Index>(),
    ) {
        let bytes: Vec<u8> = frames.iter().flat_map(|(message, payload)| message.framed(payload)).collect();
        let read = check::<FromStage>(&bytes, 1 << 20, piece);
        prop_assert_eq!(read.end, Ok(true));
        prop_assert_eq!(&read.frames, &frames);

        let cut = cut.index(bytes.len() + 1);
        let read = check::<FromStage>(&bytes[..cut], 1 << 20, piece);
        prop_assert!(read.end.is_ok());
        prop_assert_eq!(&read.frames[..], &frames[..read.frames.len()]);
    }

    #[test]
    fn changed_streams_end_in_frames_or_in_an_error(
        frames in vec(frame(), 1..6),
        changes in vec((any::<Index>(), any::<u8>()), 1..6),
        piece in 1..100usize,
    ) {
        let mut bytes = Vec::new();
        for (message, payload) in &frames {
            bytes.extend(message.framed(&payload[..payload.len().min(100)]));
        }
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        check::<FromStage>(&bytes, 100, piece);
        check::<ToStage>(&bytes, 100, piece);
    }

    #[test]
    fn any_bytes_end_in_frames_or_in_an_error(bytes in vec(prop_oneof![0..4u8, any::<u8>()], 0..80)) {
        check::<FromStage>(&bytes, 100, 7);
        check::<ToStage>(&bytes, 100, 7);
    }
}

#[test]
fn a_byte_at_a_time_is_enough() {
    let frames = [ToStage::Batch(inline(3)).framed(b"abc"), ToStage::End.framed(b"")].concat();
    let read = check::<ToStage>(&frames, 3, 1);
    assert_eq!(read.end, Ok(true));
    assert_eq!(read.frames, [(ToStage::Batch(inline(3)), b"abc".to_vec()), (ToStage::End, vec![])]);
}

#[test]
fn a_whole_frame_in_the_buffer_is_known() {
    let credit = Credit { seq: Seq(0), events: 1, filtered: 0 }.frame();
    let batch = ToStage::Batch(inline(3)).framed(b"abc");
    let bytes = [&credit[..], &batch, &credit[..10]].concat();
    let mut frames = Frames::<_, ToStage>::new(&bytes[..], 3);
    assert!(!frames.has_frame());
    frames.next().unwrap().unwrap();
    assert!(frames.has_frame());
    let frame = frames.next().unwrap().unwrap();
    assert_eq!(frame.payload.unwrap().as_slice(), b"abc");
    assert!(!frames.has_frame());
    assert!(matches!(frames.next(), Err(Error::Truncated)));
}

#[test]
fn an_error_in_the_buffer_is_known() {
    let bytes = [&Credit { seq: Seq(0), events: 1, filtered: 0 }.frame()[..], &[0xff; 8]].concat();
    let mut frames = Frames::<_, ToStage>::new(&bytes[..], 3);
    frames.next().unwrap().unwrap();
    assert!(frames.has_frame());
    assert!(matches!(frames.next(), Err(Error::MessageLength { .. })));
}

#[test]
fn bounds_are_kept() {
    let sent = |payload: usize| ToStage::Batch(inline(payload)).framed(&vec![0; payload]);
    let mut frames = Frames::<_, ToStage>::new(Pieces::new(&[], 1), 0);
    assert!(frames.next().unwrap().is_none());
    frames.set_inline_max(10);

    for (bytes, inline_max, expected) in [
        (sent(10), 10, None),
        (sent(11), 10, Some("a payload of 11 bytes is larger than the 10 bytes that may follow `Batch`")),
        (ToStage::State(State { index: 0 }).framed(&vec![0; 1 << 20]), 0, None),
        (
            ToStage::State(State { index: 0 }).framed(&vec![0; (1 << 20) + 1]),
            usize::MAX,
            Some("a payload of 1048577 bytes is larger than the 1048576 bytes that may follow `State`"),
        ),
        (
            [((MESSAGE_BYTES_MAX + 1) as u32).to_le_bytes(), [0; 4]].concat(),
            10,
            Some("a message of 1048577 bytes is larger than the 1048576 bytes that one may have"),
        ),
    ] {
        let read = check::<ToStage>(&bytes, inline_max, 1 << 20);
        assert_eq!(read.end.err().as_deref(), expected);
    }
}

/// A number alone makes nobody reserve memory: what is missing is found at the end of the stream.
#[test]
fn a_length_without_bytes_is_the_end_inside_a_frame() {
    let header = [(MESSAGE_BYTES_MAX as u32).to_le_bytes(), [0; 4]].concat();
    assert_eq!(check::<ToStage>(&header, 10, 8).end, Ok(false));
}
