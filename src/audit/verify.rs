//! Looking for every sign that somebody changed the record behind the gate's back.

use std::collections::HashSet;

use serde::Serialize;
use tokio::sync::mpsc;

use super::checkpoint::Checkpoint;
use super::graves::REVIVED;
use super::sums::{Tally, Total};
use super::walk::Read;
use super::{Audit, Signer};
use crate::consent::dossier::Dossier;
use crate::consent::terms::WordingNumbers;
use crate::consent::{GateRecord, Timestamp};
use crate::store::{Rows, StoreError, StoredRow};

/// How many of the newest checkpoints must each be followed by the next: older ones are thinned out.
const LINKED: usize = 24;
/// After how many recipients the progress is told.
const STEP: u64 = 10_000;

/// One sign of tampering. Names people by keyed hashes only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// `unreadable`, `chain`, `unchained`, `gate_record`, `tombstone`, `tombstones`, `checkpoint` or `sums`.
    pub kind: &'static str,
    /// The tenant's name.
    pub tenant: String,
    /// Whose row it is, if it is one person's: `hash:` and the keyed hash.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recipient: Option<String>,
    /// Which entries of the chain, counted from 1.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub entries: Vec<u32>,
    /// The moment of the checkpoint that contradicts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<Timestamp>,
    /// The recipients concerned: those whose keyed hash begins with these two digits.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub buckets: Vec<String>,
    /// What it means.
    pub text: String,
}

/// What is told while a tenant is verified.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Told {
    /// It goes on.
    Progress {
        /// The tenant's name.
        tenant: String,
        /// So many recipients were read.
        recipients: u64,
    },
    /// Something is wrong.
    Finding(Finding),
    /// A tenant is done.
    Verified(Verified),
    /// Everything is done.
    Done {
        /// How many signs of tampering were found in all.
        findings: u64,
    },
    /// The store could not be read to the end.
    Failed(&'static str),
}

/// What was verified.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Verified {
    /// The tenant's name.
    pub tenant: String,
    /// How many rows of recipients were read; whoever came back after an erasure has two.
    pub recipients: u64,
    /// How many entries their chains have.
    pub entries: u64,
    /// How many of those were erased.
    pub erased: u64,
    /// How many were given to events that stood in the store before there were chains.
    pub adopted: u64,
    /// How many recipients have no chain yet: they were last written before there were chains.
    pub unchained: u64,
    /// How many checkpoints were compared.
    pub checkpoints: u64,
    /// The moment up to which the newest speaks; what was written later is covered by no checkpoint.
    pub covered_until: Option<Timestamp>,
    /// The newest checkpoint's hash, which the program log of the node that made it states as well.
    pub checkpoint: Option<String>,
    /// How many signs of tampering were found.
    pub findings: u64,
}

/// One verification under way.
struct Verification<'a> {
    told: &'a mpsc::Sender<Told>,
    signer: &'a Signer,
    wordings: WordingNumbers,
    verified: Verified,
}

impl Audit {
    /// Recomputes every chain of a tenant and compares with every checkpoint; tells what it finds.
    pub async fn verify(&self, tenant: usize, told: &mpsc::Sender<Told>) -> Result<Verified, StoreError> {
        let signer = self.signer().await?;
        let verified = Verified { tenant: self.tenant(tenant)?, ..Verified::default() };
        let wordings = self.inner.store.wording_numbers(tenant)?;
        let mut verification = Verification { told, signer, wordings, verified };
        let checkpoints = verification.checkpoints(self.stored(tenant).await?).await;
        let moments = checkpoints.iter().map(Checkpoint::moment).collect();
        let mut tally = Tally::new(signer.multiset(), moments);
        let graves = self.graves(tenant).await?;
        if let Some(text) = graves.miscounted() {
            let finding = verification.finding("tombstones", text);
            verification.found(finding).await;
        }
        let mut walk = self.walk(tenant).await?;
        while let Some(rows) = walk.next(&mut tally).await? {
            for read in rows {
                verification.row(&read).await;
                if graves.revived(self, tenant, &read).await? {
                    let finding = verification.finding("tombstone", REVIVED);
                    let recipient = Some(read.hash.danger_string());
                    verification.found(Finding { recipient, ..finding }).await;
                }
            }
        }
        verification.gates_without_dossier(self, tenant).await?;
        for (checkpoint, total) in checkpoints.iter().zip(tally.finish()) {
            verification.compare(checkpoint, &total).await;
        }
        if let Some(newest) = checkpoints.last() {
            verification.verified.covered_until = Some(newest.at());
            verification.verified.checkpoint = Some(newest.hash());
        }
        Ok(verification.verified)
    }
}

impl Verification<'_> {
    /// Whoever listens may have gone; ending then is their business.
    async fn tell(&self, told: Told) {
        let _ = self.told.send(told).await;
    }

    async fn found(&mut self, finding: Finding) {
        self.verified.findings = self.verified.findings.saturating_add(1);
        self.tell(Told::Finding(finding)).await;
    }

    fn finding(&self, kind: &'static str, text: impl Into<String>) -> Finding {
        Finding {
            kind,
            tenant: self.verified.tenant.clone(),
            recipient: None,
            entries: Vec::new(),
            checkpoint: None,
            buckets: Vec::new(),
            text: text.into(),
        }
    }

    /// The checkpoints whose signature holds, oldest first.
    async fn checkpoints(&mut self, stored: Vec<(u32, Vec<u8>)>) -> Vec<Checkpoint> {
        let mut good: Vec<Checkpoint> = Vec::new();
        let all = stored.len();
        let mut hashes = HashSet::new();
        for (n, (at, bytes)) in stored.into_iter().enumerate() {
            let stated = Timestamp::from_secs(u64::from(at));
            let read = Checkpoint::decode(&bytes).filter(|c| {
                c.moment() == at && c.tenant() == self.verified.tenant && c.is_signed_by(self.signer)
            });
            let Some(checkpoint) = read else {
                let text = "this checkpoint was edited, or signed with another key than [audit] key_file names; put the former key back to verify it";
                let finding = Finding { checkpoint: Some(stated), ..self.finding("checkpoint", text) };
                self.found(finding).await;
                continue;
            };
            let follows = checkpoint.previous().is_none_or(|previous| hashes.contains(previous));
            if n > 0 && all.saturating_sub(n) < LINKED && !follows {
                let text = "the checkpoint before this one is missing";
                let finding = Finding { checkpoint: Some(stated), ..self.finding("checkpoint", text) };
                self.found(finding).await;
            }
            hashes.insert(checkpoint.hash());
            good.push(checkpoint);
        }
        self.verified.checkpoints = u64::try_from(good.len()).unwrap_or(u64::MAX);
        good
    }

    async fn row(&mut self, read: &Read) {
        self.verified.recipients = self.verified.recipients.saturating_add(1);
        if self.verified.recipients.is_multiple_of(STEP) {
            let Verified { tenant, recipients, .. } = &self.verified;
            let progress = Told::Progress { tenant: tenant.clone(), recipients: *recipients };
            self.tell(progress).await;
        }
        for finding in self.judge(read) {
            let recipient = Some(read.hash.danger_string());
            self.found(Finding { recipient, ..finding }).await;
        }
    }

    fn judge(&mut self, Read { row, dossier, .. }: &Read) -> Vec<Finding> {
        let mut findings = Vec::new();
        let Some(dossier) = dossier else {
            let text = if row.dossier.is_some() {
                "what is stored cannot be read as events; restore it from a backup"
            } else {
                "the gate record has no events behind it"
            };
            return vec![self.finding("unreadable", text)];
        };
        self.count(row, dossier);
        let entries = dossier.chain().faults();
        if !entries.is_empty() {
            let text = "these entries do not follow from what they hold and from the entry before: something was edited, removed, added or moved";
            findings.push(Finding { entries, ..self.finding("chain", text) });
        }
        let first_version = row.dossier.as_deref().is_some_and(Dossier::is_first_version);
        if dossier.unchained() > 0 && !first_version {
            findings.push(self.finding(
                "unchained",
                "events or links without an entry in the chain: they were added behind the gate's back",
            ));
        }
        let gate = row.gate.as_deref().and_then(GateRecord::decode);
        let derived = dossier.record().gate_record(&self.wordings);
        if !gate.is_some_and(|gate| gate.follows(&derived)) {
            findings.push(self.finding(
                "gate_record",
                "the record that sends are judged by does not follow from the events",
            ));
        }
        findings
    }

    fn count(&mut self, row: &StoredRow, dossier: &Dossier) {
        let count = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
        let entries = dossier.chain().entries();
        let verified = &mut self.verified;
        verified.entries = verified.entries.saturating_add(count(entries.len()));
        let erased = entries.iter().filter(|entry| entry.content.is_erased()).count();
        verified.erased = verified.erased.saturating_add(count(erased));
        let adopted = entries.iter().filter(|entry| entry.adopted).count();
        verified.adopted = verified.adopted.saturating_add(count(adopted));
        let first_version = row.dossier.as_deref().is_some_and(Dossier::is_first_version);
        verified.unchained = verified.unchained.saturating_add(u64::from(first_version));
    }

    /// Somebody may write a grant where no events stand at all.
    async fn gates_without_dossier(&mut self, audit: &Audit, tenant: usize) -> Result<(), StoreError> {
        let store = &audit.inner.store;
        let (hasher, number) = (audit.hasher().await?, store.tenant_number(tenant)?);
        let mut after = None;
        loop {
            let page = store.rows(tenant, Rows::Gates, after, 1000).await?;
            for row in page.rows.into_iter().filter(|row| row.dossier.is_none() && row.gate.is_some()) {
                let hash = hasher.hash(number, &row.key);
                let finding = self
                    .finding("gate_record", "the record that sends are judged by has no events behind it");
                self.found(Finding { recipient: Some(hash.danger_string()), ..finding }).await;
            }
            after = page.next;
            if after.is_none() {
                return Ok(());
            }
        }
    }

    async fn compare(&mut self, checkpoint: &Checkpoint, total: &Total) {
        let buckets: Vec<String> =
            total.sums.differences(checkpoint.sums()).map(|bucket| format!("{bucket:02x}")).collect();
        if buckets.is_empty() {
            return;
        }
        let text = format!(
            "the chains are not those that this checkpoint covers: it counted {} recipients and {} entries, now as of the same moment there are {} and {}; \
             somebody's history was edited, removed, shortened, swapped or replaced by an older one",
            checkpoint.recipients(),
            checkpoint.entries(),
            total.recipients,
            total.entries
        );
        let finding = Finding { checkpoint: Some(checkpoint.at()), buckets, ..self.finding("sums", text) };
        self.found(finding).await;
    }
}
