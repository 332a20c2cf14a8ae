//! Ids of calls, each of which this protocol takes once in a conversation. Some upstreams of others count their calls
//! anew in every answer.

use std::collections::{HashMap, HashSet, VecDeque};

use super::turns::Message;
use crate::conversation::{Block, Role, ToolResult};

/// Gives every call whose id an earlier one has, another, and its result the same.
pub(super) fn tell_apart(messages: &mut [Message<'_>]) {
    let mut ids = Ids::default();
    // The ids of the last calls by those that they came with. Results of calls with one id answer them in their order.
    let mut open: HashMap<String, VecDeque<String>> = HashMap::new();
    for message in messages {
        if message.role == Role::Assistant {
            open.clear();
        }
        for part in &mut message.parts {
            let changed = match &*part.block {
                Block::ToolCall { id, .. } => {
                    let given = ids.give(id);
                    open.entry(id.clone()).or_default().push_back(given.clone());
                    Some(given).filter(|given| given != id)
                }
                Block::ToolResult(result) => {
                    let given = open.get_mut(&result.id).and_then(VecDeque::pop_front);
                    given.filter(|given| *given != result.id)
                }
                _ => None,
            };
            let Some(changed) = changed else {
                continue;
            };
            if let Block::ToolCall { id, .. } | Block::ToolResult(ToolResult { id, .. }) =
                part.block.to_mut()
            {
                *id = changed;
            }
        }
    }
}

/// The ids that have been given.
#[derive(Default)]
struct Ids {
    known: HashSet<String>,
    /// How often each has been asked for again.
    again: HashMap<String, u64>,
}

impl Ids {
    /// The id, or one after it that nobody has.
    fn give(&mut self, id: &str) -> String {
        let mut free = id.to_owned();
        while self.known.contains(&free) {
            let number = self.again.entry(id.to_owned()).or_insert(1);
            *number += 1;
            free = format!("{id}_{number}");
        }
        self.known.insert(free.clone());
        free
    }
}
