//! Notes about senders in Redis: two hashes, a hash of sums for each day, and a string of bits for each day.

use redis::{Pipeline, Value};

use crate::store::StoreError;
use crate::store::notes::{BLOCK_BYTES, Block, Filter, Known, Mark, Notes, SENT_DAYS, SUM_DAYS, Sum};

use super::door::{ask_all, bytes};
use super::fault::RedisFault;
use super::{PATIENCE, Redis, keys};

const DAY_SECONDS: u64 = 86_400;

/// Keeps the greater numbers. They are compared as texts of their digits, for Redis computes with floating point.
const RAISE: &str = r"
for i = 1, #ARGV, 2 do
  local kept = redis.call('HGET', KEYS[1], ARGV[i]) or ''
  local new = ARGV[i + 1]
  if #new > #kept or (#new == #kept and new > kept) then redis.call('HSET', KEYS[1], ARGV[i], new) end
end
return 1
";

/// How many messages one call brings at most, unless there are very many: look-ups wait behind it for about 2 microseconds each.
const MARKS_A_CALL: usize = 64;
/// A store that comes back after a while gets what has waited in no more calls than this.
const MOST_CALLS: usize = 64;

impl Redis {
    pub(in crate::store) async fn note(&self, notes: &Notes) -> Result<(), StoreError> {
        if notes.is_empty() {
            return Ok(());
        }
        let connection = self.control().await?;
        let all_done = async |calls: Pipeline| {
            if calls.is_empty() {
                return Ok(());
            }
            all_of(&ask_all(&connection, &calls, PATIENCE).await?)
        };
        // What says that nobody is to be suspected comes before the messages, and the sums last: they must not be repeated if something fails.
        all_done(facts(notes)).await?;
        // One call after the other, so that Redis turns to others in between.
        for marks in notes.sent.chunks(marks_a_call(notes.sent.len())) {
            all_done(setting(marks)).await?;
        }
        all_done(sums(notes)).await
    }

    pub(in crate::store) async fn notes(&self) -> Result<Known, StoreError> {
        let mut calls = redis::pipe();
        calls.cmd("HGETALL").arg(keys::SENDER_NUMBERS).cmd("HGETALL").arg(keys::SENDER_TEXTS);
        let answers = ask_all(&self.control().await?, &calls, PATIENCE).await?;
        all_of(&answers)?;
        let [numbers, texts] = answers.as_slice() else { return Err(StoreError::Unreadable) };
        let numbers = fields(numbers)?.into_iter().map(|(name, value)| Ok((name, number(&value)?)));
        Ok(Known { numbers: numbers.collect::<Result<_, StoreError>>()?, texts: fields(texts)? })
    }

    pub(in crate::store) async fn sums(&self, from: u32, today: u32) -> Result<Vec<Sum>, StoreError> {
        let days = || from.max(today.saturating_sub(SUM_DAYS))..=today;
        let mut calls = redis::pipe();
        for day in days() {
            calls.cmd("HGETALL").arg(keys::sums(day));
        }
        if calls.is_empty() {
            return Ok(Vec::new());
        }
        let answers = ask_all(&self.control().await?, &calls, PATIENCE).await?;
        all_of(&answers)?;
        let mut sums = Vec::new();
        for (day, answer) in days().zip(&answers) {
            for (name, value) in fields(answer)? {
                sums.push((day, name, number(&value)?));
            }
        }
        sums.sort();
        Ok(sums)
    }

    pub(in crate::store) async fn sent(&self, asked: &[(Filter, u32)]) -> Result<Vec<Block>, StoreError> {
        let mut calls = redis::pipe();
        for (filter, block) in asked {
            let start = u64::from(*block) * BLOCK_BYTES as u64;
            calls.cmd("GETRANGE").arg(keys::sent(*filter)).arg(start).arg(start + BLOCK_BYTES as u64 - 1);
        }
        if calls.is_empty() {
            return Ok(Vec::new());
        }
        let answers = ask_all(&self.control().await?, &calls, PATIENCE).await?;
        all_of(&answers)?;
        answers.iter().map(block).collect()
    }
}

/// All calls bring the same, but for the last.
fn marks_a_call(marks: usize) -> usize {
    let calls = marks.div_ceil(MARKS_A_CALL).clamp(1, MOST_CALLS);
    marks.div_ceil(calls).max(1)
}

fn facts(notes: &Notes) -> Pipeline {
    let mut calls = redis::pipe();
    if !notes.raised.is_empty() {
        let call = calls.cmd("EVAL").arg(RAISE).arg(1).arg(keys::SENDER_NUMBERS);
        notes.raised.iter().fold(call, |call, (name, number)| call.arg(name).arg(*number));
    }
    if !notes.texts.is_empty() {
        let call = calls.cmd("HSET").arg(keys::SENDER_TEXTS);
        notes.texts.iter().fold(call, |call, (name, text)| call.arg(name).arg(text.as_slice()));
    }
    calls
}

fn sums(notes: &Notes) -> Pipeline {
    let mut calls = redis::pipe();
    let mut days: Vec<u32> = notes.sums.iter().map(|(day, _, _)| *day).collect();
    for (day, name, more) in &notes.sums {
        calls.cmd("HINCRBY").arg(keys::sums(*day)).arg(name).arg(*more);
    }
    days.sort_unstable();
    days.dedup();
    for day in days {
        calls.cmd("EXPIRE").arg(keys::sums(day)).arg(u64::from(SUM_DAYS) * DAY_SECONDS);
    }
    calls
}

fn setting(marks: &[Mark]) -> Pipeline {
    let mut calls = redis::pipe();
    // A gate's messages are of one day and one size, but for those around midnight.
    for marks in marks.chunk_by(|one, next| one.filter == next.filter) {
        let Some(filter) = marks.first().map(|mark| mark.filter) else { continue };
        let call = calls.cmd("BITFIELD").arg(keys::sent(filter));
        for mark in marks {
            let first = u64::from(mark.block) * (BLOCK_BYTES as u64 * 8);
            for bit in mark.bits {
                call.arg("SET").arg("u1").arg(first + u64::from(bit)).arg(1);
            }
        }
        calls.cmd("EXPIRE").arg(keys::sent(filter)).arg(u64::from(SENT_DAYS) * DAY_SECONDS);
    }
    calls
}

/// No answer may be an error.
fn all_of(answers: &[Value]) -> Result<(), StoreError> {
    for answer in answers {
        if let Value::ServerError(error) = answer {
            return Err(RedisFault::of_reply(error).into());
        }
    }
    Ok(())
}

fn fields(answer: &Value) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
    let Value::Map(pairs) = answer else { return Err(StoreError::Unreadable) };
    let field = |(name, value): &(Value, Value)| {
        let name = String::from_utf8(bytes(name)?.to_vec()).ok()?;
        Some((name, bytes(value)?.to_vec()))
    };
    let mut fields: Vec<_> = pairs.iter().map(field).collect::<Option<_>>().ok_or(StoreError::Unreadable)?;
    fields.sort();
    Ok(fields)
}

fn number(value: &[u8]) -> Result<u64, StoreError> {
    std::str::from_utf8(value).ok().and_then(|text| text.parse().ok()).ok_or(StoreError::Unreadable)
}

/// A string that ends before the block, or in it, has no bits there.
fn block(answer: &Value) -> Result<Block, StoreError> {
    let found = bytes(answer).ok_or(StoreError::Unreadable)?;
    let mut block = [0; BLOCK_BYTES];
    for (to, from) in block.iter_mut().zip(found) {
        *to = *from;
    }
    Ok(block)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_for_messages_are_short_and_their_number_is_bounded() {
        for marks in 0..20_000 {
            let (a_call, calls) = (marks_a_call(marks), marks.div_ceil(marks_a_call(marks)));
            assert!(calls <= MOST_CALLS, "{marks}: {calls} of {a_call}");
            assert!(
                a_call <= MARKS_A_CALL || marks > MARKS_A_CALL * MOST_CALLS,
                "{marks}: {calls} of {a_call}"
            );
        }
        assert_eq!([1, 64, 200, 1000].map(marks_a_call), [1, 64, 50, 63]);
    }
}
