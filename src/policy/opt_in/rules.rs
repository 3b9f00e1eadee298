//! The table of rules.

use super::{Claim, channel, link};
use crate::consent::evidence::EvidenceField;
use crate::consent::tenant::OptInRules;
use crate::consent::{Actor, Kind};

/// One rule of a set.
#[derive(Debug)]
pub struct Rule {
    /// Its stable name.
    pub name: &'static str,
    /// Where it comes from.
    pub source: &'static str,
    /// The field of an event that keeps or breaks it.
    pub field: &'static str,
    /// What to do about it.
    pub remedy: &'static str,
    strict: bool,
    general: bool,
    resume: bool,
    is_kept: fn(&Claim<'_>) -> bool,
}

impl Rule {
    /// Whether it is asked of an event: of a grant by the set of rules that the tenant chose, of a resume by both.
    pub fn asked_of(&self, kind: Kind, rules: OptInRules) -> bool {
        match kind {
            Kind::Grant => self.asked_by(rules),
            Kind::Resume => self.resume,
            Kind::Revoke | Kind::Inbound | Kind::Link | Kind::Erase => false,
        }
    }

    /// Whether it is asked of a resume.
    pub const fn asked_of_resumes(&self) -> bool {
        self.resume
    }

    /// Whether a set of rules asks it of a grant.
    pub const fn asked_by(&self, rules: OptInRules) -> bool {
        match rules {
            OptInRules::Strict => self.strict,
            OptInRules::General => self.general,
        }
    }

    /// Whether a claim keeps it.
    pub fn is_kept(&self, claim: &Claim<'_>) -> bool {
        (self.is_kept)(claim)
    }

    /// What to say about an event that breaks it.
    pub fn problem(&self) -> String {
        format!("{}: {} [{}]", self.field, self.remedy, self.name)
    }
}

/// The guidelines that Meta published until July 2020 and that this project exists to enforce.
const GUIDELINES: &str = "Meta, Get opt-in for WhatsApp, guidelines until July 2020";
/// Meta's rule at present.
const PRESENT: &str = "Meta, Get opt-in for WhatsApp, since November 2024";
/// What both have in common.
const BOTH: &str = "Meta, Get opt-in for WhatsApp, guidelines until July 2020 and since November 2024";

/// No rule of the provider's: a withdrawal that anybody could take back would be none.
const OWN: &str = "optgate: a person's withdrawal is undone by the person alone";

/// Every rule of both sets.
pub static RULES: [Rule; 14] = [
    Rule {
        name: "third_party_channel",
        source: GUIDELINES,
        field: "evidence.channel",
        remedy: "write where the person agreed: website, app, email, sms, phone, in_person or paper; an opt-in inside WhatsApp is none",
        strict: true,
        general: false,
        resume: false,
        is_kept: |claim| channel::is_third_party(claim.evidence),
    },
    Rule {
        name: "no_click_to_chat",
        source: GUIDELINES,
        field: "evidence.channel, evidence.url",
        remedy: "a click-to-chat link (wa.me, api.whatsapp.com, whatsapp://) is no opt-in, and a short link hides where it leads; record the page itself and the words to which the person agreed",
        strict: true,
        general: false,
        resume: false,
        is_kept: |claim| !link::is_click_to_chat(claim),
    },
    Rule {
        name: "known_channel",
        source: PRESENT,
        field: "evidence.channel",
        remedy: "write where the person agreed: website, app, email, sms, phone, in_person, paper, whatsapp, ivr, qr_code, click_to_chat, social or other",
        strict: false,
        general: true,
        resume: true,
        is_kept: |claim| channel::is_known(claim.evidence),
    },
    Rule {
        name: "person_acted",
        source: GUIDELINES,
        field: "actor",
        remedy: "an opt-in is the person's own act: write person, and in evidence what they did; what your staff or a program decides for them is none",
        strict: true,
        general: false,
        resume: false,
        is_kept: |claim| claim.actor == Some(Actor::Person),
    },
    Rule {
        name: "active_opt_in",
        source: BOTH,
        field: "evidence.user_action",
        remedy: "write what the person did to agree: checked_box, pressed_button, signed, said_yes, texted_keyword or filled_form; a pre-ticked box or silence is none",
        strict: true,
        general: true,
        resume: true,
        is_kept: |claim| channel::is_active(claim.evidence),
    },
    Rule {
        name: "possible_action",
        source: BOTH,
        field: "evidence.channel, evidence.user_action",
        remedy: "nobody can have done this there (a button of a sheet of paper, a signature by sms); write where and how the person agreed in truth",
        strict: true,
        general: true,
        resume: true,
        is_kept: |claim| channel::is_possible(claim.evidence),
    },
    Rule {
        name: "name_and_logo_shown",
        source: GUIDELINES,
        field: "evidence.name_and_logo_shown",
        remedy: "the words must stand beside the WhatsApp name and logo; write true if they did (not asked of the spoken word and of paper)",
        strict: true,
        general: false,
        resume: false,
        is_kept: |claim| {
            channel::shows_nothing(claim.evidence) || claim.evidence.states(EvidenceField::NameAndLogoShown)
        },
    },
    Rule {
        name: "whatsapp_named",
        source: GUIDELINES,
        field: "evidence.wording",
        remedy: "spoken or on paper, the wording itself must name WhatsApp, as no logo stands beside it",
        strict: true,
        general: false,
        resume: false,
        is_kept: |claim| {
            !channel::shows_nothing(claim.evidence)
                || claim.evidence.wording.as_deref().is_some_and(channel::names_whatsapp)
        },
    },
    Rule {
        name: "number_confirmed",
        source: GUIDELINES,
        field: "evidence.number_confirmed",
        remedy: "the person must choose which number is used, by seeing and changing or by giving it; write true if they did",
        strict: true,
        general: false,
        resume: false,
        is_kept: |claim| claim.evidence.states(EvidenceField::NumberConfirmed),
    },
    Rule {
        name: "number_given",
        source: PRESENT,
        field: "evidence.number_confirmed",
        remedy: "the person must have given their number to the business; write true if they did",
        strict: false,
        general: true,
        resume: false,
        is_kept: |claim| claim.evidence.states(EvidenceField::NumberConfirmed),
    },
    Rule {
        name: "categories_shown",
        source: GUIDELINES,
        field: "evidence.categories_shown",
        remedy: "the types of message must have been named; list every category that is granted, or grant only those that were named",
        strict: true,
        general: false,
        resume: false,
        is_kept: |claim| {
            let shown = claim.evidence.categories_shown.iter().flatten().copied().collect();
            claim.granted.is_within(shown)
        },
    },
    Rule {
        name: "business_named",
        source: BOTH,
        field: "evidence.business_named",
        remedy: "the business must have been named; write the name that the person saw or heard",
        strict: true,
        general: true,
        resume: false,
        is_kept: |claim| claim.evidence.states(EvidenceField::BusinessNamed),
    },
    Rule {
        name: "wording_kept",
        source: GUIDELINES,
        field: "evidence.wording",
        remedy: "write the sentence that the person agreed to, as it was shown or said",
        strict: true,
        general: false,
        resume: false,
        is_kept: |claim| claim.evidence.states(EvidenceField::Wording),
    },
    Rule {
        name: "asked_to_resume",
        source: OWN,
        field: "evidence.wording, evidence.reference",
        remedy: "write the words with which the person asked to be written to again, or where the proof lies: a message, a recording, a ticket",
        strict: false,
        general: false,
        resume: true,
        is_kept: |claim| {
            claim.evidence.states(EvidenceField::Wording) || claim.evidence.states(EvidenceField::Reference)
        },
    },
];
