use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use super::*;

#[test]
fn messages_arrive_in_the_order_of_their_numbers() {
    let (sender, receiver) = ordered(8);
    for seq in [2, 0, 3, 1] {
        sender.send(Seq(seq), Some(seq * 10)).unwrap();
    }
    sender.finish();
    let received: Vec<_> = std::iter::from_fn(|| receiver.recv().unwrap()).collect();
    assert_eq!(received, [(Seq(0), 0), (Seq(1), 10), (Seq(2), 20), (Seq(3), 30)]);
}

#[test]
fn numbers_without_a_message_pass_and_return_their_credit() {
    let (sender, receiver) = ordered(2);
    for seq in 0..100 {
        sender.send(Seq(seq), (seq == 98).then_some(seq)).unwrap();
    }
    sender.finish();
    assert_eq!(receiver.recv(), Ok(Some((Seq(98), 98))));
    assert_eq!(receiver.recv(), Ok(None));
}

#[test]
fn no_sender_gets_further_ahead_than_its_credit() {
    const CREDIT: usize = 3;
    let (sender, receiver) = ordered(CREDIT);
    let (numbers, taken) = (AtomicU64::new(0), AtomicU64::new(0));
    thread::scope(|scope| {
        for _ in 0..4 {
            let (sender, numbers, taken) = (sender.clone(), &numbers, &taken);
            scope.spawn(move || {
                loop {
                    let seq = numbers.fetch_add(1, Ordering::SeqCst);
                    if seq >= 1000 {
                        return sender.finish();
                    }
                    sender.credit(Seq(seq)).unwrap();
                    // The receiver counts what it took only afterwards: one more may already be on its way.
                    assert!(seq <= taken.load(Ordering::SeqCst) + CREDIT as u64);
                    sender.send(Seq(seq), Some(seq)).unwrap();
                }
            });
        }
        sender.finish();
        for expected in 0..1000 {
            assert_eq!(receiver.recv(), Ok(Some((Seq(expected), expected))));
            taken.fetch_add(1, Ordering::SeqCst);
        }
        assert_eq!(receiver.recv(), Ok(None));
    });
}

#[test]
fn an_end_that_fails_releases_the_other() {
    let (sender, receiver) = ordered(1);
    sender.send(Seq(0), Some(())).unwrap();
    thread::scope(|scope| {
        let waiting = scope.spawn(|| sender.send(Seq(1), Some(())));
        drop(receiver);
        assert_eq!(waiting.join().unwrap(), Err(Closed));
    });

    let (sender, receiver) = ordered::<()>(1);
    thread::scope(|scope| {
        let waiting = scope.spawn(|| receiver.recv());
        drop(sender);
        assert_eq!(waiting.join().unwrap(), Err(Closed));
    });
}
