//! One standard queue. Pure: every moment is an input, nothing waits.
//!
//! A message is in exactly one of two places: `ready` to be handed out, or `hidden` until a moment (delayed, or handed
//! out and not yet deleted). Costs do not grow with the number of messages that rest.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use serde_json::{Map, Value};
use tokio::time::Instant;
use uuid::Uuid;

/// Where messages go that were handed out too often.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DeadLetters {
    /// The name of the other queue.
    pub(super) queue: String,
    /// After so many receives the next one moves the message.
    pub(super) max_receives: u32,
}

/// A queue's attributes that change what it does.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    pub(super) visibility: Duration,
    pub(super) retention: Duration,
    pub(super) delay: Duration,
    pub(super) wait: Duration,
    pub(super) max_size: usize,
    pub(super) dead_letters: Option<DeadLetters>,
}

/// A message at rest.
#[derive(Debug, Clone)]
pub(super) struct Message {
    pub(super) id: String,
    pub(super) body: String,
    pub(super) attributes: Map<String, Value>,
    pub(super) system_attributes: Map<String, Value>,
    pub(super) sender: String,
    /// Epoch milliseconds; kept when the message moves to a dead letter queue.
    pub(super) sent_millis: i64,
    pub(super) sent: Instant,
    pub(super) receives: u32,
    pub(super) first_received_millis: Option<i64>,
    /// The ARN of the queue that gave it up.
    pub(super) dead_from: Option<String>,
}

struct Slot {
    message: Message,
    /// While handed out: the receipt of the newest receive, and when it ends.
    receipt: Option<Uuid>,
    hidden_until: Option<Instant>,
}

/// A message as it is handed out.
#[derive(Debug, Clone)]
pub(super) struct Delivery {
    pub(super) message: Message,
    pub(super) receipt: String,
}

/// What a receipt handle is good for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Receipt {
    /// Nothing that a queue ever gave out.
    Invalid,
    /// Given out, but the message is gone, was handed out again or became visible again.
    Stale,
    /// Done.
    Done,
}

/// One queue.
pub(super) struct Queue {
    pub(super) settings: Settings,
    slots: BTreeMap<u64, Slot>,
    ready: VecDeque<u64>,
    hidden: BTreeSet<(Instant, u64)>,
    next: u64,
}

impl Queue {
    pub(super) fn new(settings: Settings) -> Self {
        Self { settings, slots: BTreeMap::new(), ready: VecDeque::new(), hidden: BTreeSet::new(), next: 0 }
    }

    /// Puts a message in, hidden for `delay`.
    pub(super) fn put(&mut self, now: Instant, message: Message, delay: Duration) {
        let number = self.next;
        self.next += 1;
        let hidden_until = (!delay.is_zero()).then(|| now + delay);
        match hidden_until {
            Some(until) => drop(self.hidden.insert((until, number))),
            None => self.ready.push_back(number),
        }
        self.slots.insert(number, Slot { message, receipt: None, hidden_until });
    }

    /// Hands out up to `max` messages, and those that are to go to the dead letter queue instead.
    pub(super) fn receive(
        &mut self,
        now: Instant,
        millis: i64,
        max: usize,
        visibility: Duration,
    ) -> (Vec<Delivery>, Vec<Message>) {
        self.appear(now);
        let (mut deliveries, mut dead) = (Vec::new(), Vec::new());
        while deliveries.len() < max {
            let Some(number) = self.ready.pop_front() else {
                break;
            };
            let Some(slot) = self.slots.get_mut(&number) else {
                continue;
            };
            if now.duration_since(slot.message.sent) >= self.settings.retention {
                self.slots.remove(&number);
                continue;
            }
            let limit = self.settings.dead_letters.as_ref().map(|dead| dead.max_receives);
            if limit.is_some_and(|limit| slot.message.receives >= limit) {
                dead.extend(self.slots.remove(&number).map(|slot| slot.message));
                continue;
            }
            slot.message.receives += 1;
            slot.message.first_received_millis.get_or_insert(millis);
            let receipt = Uuid::new_v4();
            let until = now + visibility;
            slot.receipt = Some(receipt);
            slot.hidden_until = Some(until);
            self.hidden.insert((until, number));
            let receipt = format!("{number:016x}-{}", receipt.simple());
            deliveries.push(Delivery { message: slot.message.clone(), receipt });
        }
        (deliveries, dead)
    }

    /// Takes a message out for good. As at SQS an old receipt is no error, and has no effect once the message was
    /// handed out again.
    pub(super) fn delete(&mut self, handle: &str) -> Receipt {
        let Some((number, receipt)) = parse(handle) else {
            return Receipt::Invalid;
        };
        match self.slots.get(&number) {
            Some(slot) if slot.receipt == Some(receipt) => {
                if let Some(until) = slot.hidden_until {
                    self.hidden.remove(&(until, number));
                } else {
                    self.ready.retain(|ready| *ready != number);
                }
                self.slots.remove(&number);
                Receipt::Done
            }
            _ => Receipt::Stale,
        }
    }

    /// Changes until when a message stays hidden; zero shows it at once.
    pub(super) fn change_visibility(&mut self, now: Instant, handle: &str, visibility: Duration) -> Receipt {
        self.appear(now);
        let Some((number, receipt)) = parse(handle) else {
            return Receipt::Invalid;
        };
        let Some(slot) = self.slots.get_mut(&number) else {
            return Receipt::Stale;
        };
        let (Some(until), true) = (slot.hidden_until, slot.receipt == Some(receipt)) else {
            return Receipt::Stale;
        };
        self.hidden.remove(&(until, number));
        slot.hidden_until = Some(now + visibility);
        self.hidden.insert((now + visibility, number));
        self.appear(now);
        Receipt::Done
    }

    /// The next moment at which a hidden message appears.
    pub(super) fn next_appearance(&self) -> Option<Instant> {
        self.hidden.first().map(|(until, _)| *until)
    }

    /// Visible, in flight and delayed messages.
    pub(super) fn counts(&mut self, now: Instant) -> (usize, usize, usize) {
        self.appear(now);
        let retention = self.settings.retention;
        self.slots.retain(|_, slot| now.duration_since(slot.message.sent) < retention);
        self.ready.retain(|number| self.slots.contains_key(number));
        self.hidden.retain(|(_, number)| self.slots.contains_key(number));
        let in_flight = self.hidden.iter().filter(|(_, number)| self.handed_out(*number)).count();
        (self.ready.len(), in_flight, self.hidden.len() - in_flight)
    }

    /// Every message at rest, oldest first.
    pub(super) fn messages(&self) -> impl Iterator<Item = &Message> {
        self.slots.values().map(|slot| &slot.message)
    }

    /// Takes out every message that is not in flight.
    pub(super) fn take_visible(&mut self, now: Instant) -> Vec<Message> {
        self.appear(now);
        let ready = std::mem::take(&mut self.ready);
        ready.iter().filter_map(|number| self.slots.remove(number)).map(|slot| slot.message).collect()
    }

    /// Forgets everything.
    pub(super) fn purge(&mut self) {
        self.slots.clear();
        self.ready.clear();
        self.hidden.clear();
    }

    fn handed_out(&self, number: u64) -> bool {
        self.slots.get(&number).is_some_and(|slot| slot.receipt.is_some())
    }

    /// Moves what is no longer hidden to `ready`, in the order in which it appeared. Its receipt stays good for a
    /// deletion until the message is handed out again.
    fn appear(&mut self, now: Instant) {
        while let Some(&(until, number)) = self.hidden.first() {
            if until > now {
                break;
            }
            self.hidden.pop_first();
            if let Some(slot) = self.slots.get_mut(&number) {
                slot.hidden_until = None;
                self.ready.push_back(number);
            }
        }
    }
}

fn parse(handle: &str) -> Option<(u64, Uuid)> {
    let (number, receipt) = handle.split_once('-')?;
    Some((u64::from_str_radix(number, 16).ok()?, Uuid::try_parse(receipt).ok()?))
}
