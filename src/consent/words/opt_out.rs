//! What a tenant makes of the words: which it listens to, and how much a stop withdraws.

use std::sync::Arc;

use super::Words;
use crate::consent::{Category, CategorySet};

/// How much a stop by a word withdraws.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Scope {
    /// Marketing messages.
    Marketing,
    /// Every category but service: while the customer service window is open, answers to what the person writes stay allowed.
    #[default]
    AllButService,
    /// Every category, those that are yet to come included.
    Everything,
}

impl Scope {
    /// Every scope.
    pub const ALL: [Self; 3] = [Self::Marketing, Self::AllButService, Self::Everything];

    /// The name in the configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Marketing => "marketing",
            Self::AllButService => "all_but_service",
            Self::Everything => "everything",
        }
    }

    /// What is withdrawn; `None` is all there is and will be.
    pub fn categories(self) -> Option<CategorySet> {
        match self {
            Self::Marketing => Some(CategorySet::of(Category::Marketing)),
            Self::AllButService => {
                Some(Category::ALL.into_iter().filter(|category| *category != Category::Service).collect())
            }
            Self::Everything => None,
        }
    }
}

/// How a tenant hears people out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OptOut {
    /// How much a stop withdraws.
    pub scope: Scope,
    /// The words that it listens to.
    pub words: Arc<Words>,
}
