//! What is learnt of a sender while it sends, where every send can see it: how its number is doing and which number that is, one byte and one word beside the
//! sender, read without a lock.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::phone::E164;

/// How the provider rates a number by what recipients did with its messages.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Quality {
    /// Nothing is known, or not any more.
    #[default]
    Unknown,
    /// Good.
    Green,
    /// People block or report it: a warning.
    Yellow,
    /// So many do that the provider may soon block the number.
    Red,
}

impl Quality {
    /// Every rating, the best known one after none.
    pub const ALL: [Self; 4] = [Self::Unknown, Self::Green, Self::Yellow, Self::Red];

    /// The name in metrics and answers.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Green => "green",
            Self::Yellow => "yellow",
            Self::Red => "red",
        }
    }

    const fn of(byte: u8) -> Self {
        match byte {
            1 => Self::Green,
            2 => Self::Yellow,
            3 => Self::Red,
            _ => Self::Unknown,
        }
    }
}

/// What is learnt of a sender in this process. Clones share it; a reload of the configuration keeps it.
#[derive(Clone, Debug)]
pub struct Pulse(Arc<Beat>);

#[derive(Debug)]
struct Beat {
    number: u32,
    quality: AtomicU8,
    /// The number as [`E164::packed`] makes it; 0 is not known.
    phone: AtomicU64,
}

/// What a pulse says now.
#[derive(Clone, Copy, Debug)]
pub struct Felt {
    /// Names the sender within this process.
    pub number: u32,
    /// How it is rated.
    pub quality: Quality,
    phone: u64,
}

impl Felt {
    /// The sender's own number, if that was learnt.
    pub fn phone(&self) -> Option<E164> {
        E164::unpacked(self.phone)
    }
}

impl Default for Pulse {
    fn default() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        Self(Arc::new(Beat {
            number: NEXT.fetch_add(1, Ordering::Relaxed),
            quality: AtomicU8::new(Quality::Unknown as u8),
            phone: AtomicU64::new(0),
        }))
    }
}

impl Pulse {
    /// Names the sender within this process, so that nothing longer has to be handed around.
    pub fn number(&self) -> u32 {
        self.0.number
    }

    /// The rating now.
    pub fn quality(&self) -> Quality {
        Quality::of(self.0.quality.load(Ordering::Relaxed))
    }

    /// Everything at once.
    pub fn felt(&self) -> Felt {
        let phone = self.0.phone.load(Ordering::Relaxed);
        Felt { number: self.number(), quality: self.quality(), phone }
    }

    /// From now on sends are read as those of this number; whether that is news.
    pub fn call(&self, phone: &E164) -> bool {
        self.0.phone.swap(phone.packed(), Ordering::Relaxed) != phone.packed()
    }

    /// From now on sends see this rating; gives the one before.
    pub fn rate(&self, quality: Quality) -> Quality {
        Quality::of(self.0.quality.swap(quality as u8, Ordering::Relaxed))
    }
}

/// A sender is the same sender however its number is doing.
impl PartialEq for Pulse {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Pulse {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rating_comes_back_and_every_pulse_has_its_own_number() {
        let pulse = Pulse::default();
        assert_eq!(pulse.quality(), Quality::Unknown);
        for quality in Quality::ALL {
            pulse.clone().rate(quality);
            assert_eq!(pulse.quality(), quality);
        }
        assert_eq!(pulse.rate(Quality::Green), Quality::Red);
        assert_ne!(pulse.number(), Pulse::default().number());
        assert_eq!(pulse.felt().phone(), None);
        for phone in ["+1234567", "+15550783881", "+999999999999999"] {
            let phone = E164::parse(phone).unwrap();
            assert!(pulse.clone().call(&phone) && !pulse.call(&phone));
            assert_eq!(pulse.felt().phone(), Some(phone));
        }
    }
}
