//! What a message is for.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The category of one attempted contact, the unit in which people agree.
///
/// The first four are Meta's conversation categories; `Call` is a voice call by the business.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Category {
    /// One-time passwords and the like.
    Authentication,
    /// A voice call by the business, or asking for the permission to call.
    Call,
    /// Offers, news, and every template that is not known to be something milder.
    Marketing,
    /// Free-form answers inside the customer service window.
    Service,
    /// Order updates, reminders and the like.
    Utility,
}

impl Category {
    /// Every category, in the order in which gate records and metrics store them.
    pub const ALL: [Self; 5] =
        [Self::Authentication, Self::Call, Self::Marketing, Self::Service, Self::Utility];

    /// The name on the wire, in metrics and on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Authentication => "authentication",
            Self::Call => "call",
            Self::Marketing => "marketing",
            Self::Service => "service",
            Self::Utility => "utility",
        }
    }

    /// Reads a name as [`Category::name`] writes it, in any letter case.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|c| c.name().eq_ignore_ascii_case(name))
    }

    /// The place of this category in [`Category::ALL`].
    pub const fn index(self) -> usize {
        match self {
            Self::Authentication => 0,
            Self::Call => 1,
            Self::Marketing => 2,
            Self::Service => 3,
            Self::Utility => 4,
        }
    }
}

/// A set of categories.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct CategorySet(u8);

impl CategorySet {
    /// No category.
    pub const EMPTY: Self = Self(0);
    /// Every category.
    pub const ALL: Self = Self(0b1_1111);

    /// The set of one category.
    pub const fn of(category: Category) -> Self {
        Self(1 << category.index())
    }

    /// This set and one more category.
    #[must_use]
    pub const fn with(self, category: Category) -> Self {
        Self(self.0 | 1 << category.index())
    }

    /// Both sets together.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether a category is in the set.
    pub const fn contains(self, category: Category) -> bool {
        self.0 & (1 << category.index()) != 0
    }

    /// Whether the set is empty.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// How many categories are in the set.
    pub const fn len(self) -> usize {
        self.0.count_ones() as usize
    }

    /// The categories in the set, in the order of [`Category::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Category> {
        Category::ALL.into_iter().filter(move |c| self.contains(*c))
    }
}

impl FromIterator<Category> for CategorySet {
    fn from_iter<I: IntoIterator<Item = Category>>(categories: I) -> Self {
        categories.into_iter().fold(Self::EMPTY, Self::with)
    }
}

impl std::fmt::Debug for CategorySet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_places_agree() {
        for (place, category) in Category::ALL.into_iter().enumerate() {
            assert_eq!(category.index(), place);
            assert_eq!(Category::from_name(&category.name().to_uppercase()), Some(category));
        }
        assert_eq!(Category::from_name("promotion"), None);
    }

    #[test]
    fn a_set_holds_what_was_put_in() {
        let set: CategorySet = [Category::Utility, Category::Call].into_iter().collect();
        assert_eq!(set.iter().collect::<Vec<_>>(), [Category::Call, Category::Utility]);
        assert!(!set.contains(Category::Marketing) && set.len() == 2);
        assert_eq!(CategorySet::ALL.iter().count(), 5);
    }
}
