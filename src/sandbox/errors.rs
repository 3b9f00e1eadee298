//! Graph's error envelope, and the errors that a recipient's suffix can ask for.

use super::json::Object;

const EXCEPTION: &str = "OAuthException";

/// One refusal, worded as Graph words it.
pub(super) struct GraphError {
    pub(super) status: u16,
    message: String,
    kind: &'static str,
    code: u32,
    details: Option<String>,
    subcode: Option<u32>,
}

impl GraphError {
    fn new(status: u16, code: u32, message: String) -> Self {
        GraphError { status, message, kind: EXCEPTION, code, details: None, subcode: None }
    }

    fn with_details(mut self, details: &str) -> Self {
        self.details = Some(details.to_owned());
        self
    }

    fn with_subcode(mut self, subcode: u32) -> Self {
        self.subcode = Some(subcode);
        self
    }

    /// `(#100) The parameter {name} is required.`
    pub(super) fn required(name: &str) -> Self {
        GraphError::new(400, 100, format!("(#100) The parameter {name} is required."))
    }

    /// `(#100) Invalid parameter`, with the reason in `error_data`.
    pub(super) fn invalid(details: &str) -> Self {
        GraphError::new(400, 100, "(#100) Invalid parameter".to_owned()).with_details(details)
    }

    /// `(#100) Param {name} must be one of {…} - got "…".`
    pub(super) fn not_one_of(name: &str, allowed: &str, given: &str) -> Self {
        let message = format!("(#100) Param {name} must be one of {{{allowed}}} - got \"{given}\".");
        GraphError::new(400, 100, message)
    }

    /// `(#131009) Parameter value is not valid`.
    pub(super) fn bad_value(details: &str) -> Self {
        GraphError::new(400, 131_009, "(#131009) Parameter value is not valid".to_owned())
            .with_details(details)
    }

    /// `(#131051) Unsupported message type`, for types that only ever arrive.
    pub(super) fn unsupported_type() -> Self {
        GraphError::new(400, 131_051, "(#131051) Unsupported message type".to_owned())
            .with_details("Message type is not currently supported")
    }

    /// A body that no reader of this content type understands.
    pub(super) fn unreadable() -> Self {
        GraphError::new(400, 100, "(#100) Invalid parameter".to_owned())
            .with_details("The request body cannot be read")
    }

    /// A body above what Graph takes on an edge that is not an upload.
    pub(super) fn too_large() -> Self {
        let message = "Please reduce the amount of data you're asking for, then retry your request";
        GraphError::new(413, 1, message.to_owned())
    }

    /// No access token, or something that is none.
    pub(super) fn bad_token() -> Self {
        let message = "Invalid OAuth access token - Cannot parse access token";
        GraphError::new(401, 190, message.to_owned())
    }

    /// Nothing is known under this id, or it has no such edge.
    pub(super) fn unknown_object(method: &str, id: &str) -> Self {
        let message = format!(
            "Unsupported {} request. Object with ID '{id}' does not exist, cannot be loaded due to missing \
             permissions, or does not support this operation. Please read the Graph API documentation at \
             https://developers.facebook.com/docs/graph-api",
            method.to_ascii_lowercase()
        );
        let mut error = GraphError::new(400, 100, message).with_subcode(33);
        error.kind = "GraphMethodException";
        error
    }

    /// A field that the node does not have.
    pub(super) fn unknown_field(field: &str, node: &str) -> Self {
        let message = format!("(#100) Tried accessing nonexistent field ({field}) on node type ({node})");
        GraphError::new(400, 100, message)
    }

    /// A template of this name and language exists already.
    pub(super) fn template_exists() -> Self {
        GraphError::new(400, 100, "Invalid parameter".to_owned()).with_subcode(2_388_024)
    }

    /// No template of this name exists.
    pub(super) fn template_missing() -> Self {
        GraphError::new(400, 100, "Invalid parameter".to_owned()).with_subcode(2_593_002)
    }

    /// More operations than one batch may hold.
    pub(super) fn batch_too_long() -> Self {
        let message = "Too many requests in batch message. Maximum batch size is 50";
        GraphError::new(400, 100, format!("(#100) {message}"))
    }

    /// The error with this code from Meta's table, if it is one.
    pub(super) fn listed(code: u32) -> Option<Self> {
        let row = TABLE.iter().find(|row| row.0 == code)?;
        let error = GraphError::new(row.1, code, format!("(#{code}) {}", row.2));
        Some(if code >= 130_000 { error.with_details(row.3.unwrap_or(row.2)) } else { error })
    }

    /// The account has made more calls than it may.
    pub(super) fn account_limited() -> Self {
        let message =
            "There have been too many calls to this WhatsApp Business account. Wait a bit and try again.";
        GraphError::new(400, 80_008, format!("(#80008) {message}"))
    }

    /// The answer to a request that a fault fails with `status`.
    pub(super) fn injected(status: u16) -> Self {
        let (code, message) = match status {
            429 => (130_429, "Rate limit hit"),
            _ => (131_016, "Service unavailable"),
        };
        GraphError::new(status, code, format!("(#{code}) {message}"))
            .with_details("Injected by /_sandbox/faults")
    }

    /// How the status of a message that failed tells it.
    pub(super) fn in_a_status(&self) -> String {
        let mark = format!("(#{}) ", self.code);
        let title = self.message.strip_prefix(&mark).unwrap_or(&self.message);
        let details = Object::new().text("details", self.details.as_deref().unwrap_or(title)).finish();
        Object::new()
            .raw("code", self.code)
            .text("title", title)
            .text("message", title)
            .raw("error_data", details)
            .text("href", "https://developers.facebook.com/docs/whatsapp/cloud-api/support/error-codes/")
            .finish()
    }

    /// The envelope; Meta's tools read `code` and `error_data.details`.
    pub(super) fn body(&self, trace: &str) -> String {
        let mut error =
            Object::new().text("message", &self.message).text("type", self.kind).raw("code", self.code);
        if let Some(details) = &self.details {
            let data = Object::new().text("messaging_product", "whatsapp").text("details", details);
            error = error.raw("error_data", data.finish());
        }
        if let Some(subcode) = self.subcode {
            error = error.raw("error_subcode", subcode);
        }
        Object::new().raw("error", error.text("fbtrace_id", trace).finish()).finish()
    }
}

/// Code, HTTP status, title, and details where they say more than the title.
type Row = (u32, u16, &'static str, Option<&'static str>);

/// Meta's error codes (Cloud API, "Error codes"). The statuses of the 13xxxx codes are what Meta was seen to answer; no client should
/// depend on them.
#[rustfmt::skip]
const TABLE: &[Row] = &[
    (0, 401, "AuthException", None),
    (3, 500, "API Method", None),
    (4, 429, "Application request limit reached", None),
    (10, 403, "Application does not have permission for this action", None),
    (33, 400, "Parameter value is not valid", None),
    (100, 400, "Invalid parameter", None),
    (190, 401, "Access token has expired", None),
    (200, 403, "API Permission", None),
    (368, 403, "Temporarily blocked for policies violations", None),
    (80_007, 429, "Rate limit issues", None),
    (80_008, 429, "There have been too many calls to this WhatsApp Business account", None),
    (130_403, 403, "The business has blocked the user", None),
    (130_429, 429, "Rate limit hit", Some("Message failed to send because there were too many messages sent from this phone number in a short period of time")),
    (130_472, 400, "User's number is part of an experiment", Some("Failed to send message because this user's phone number is part of an experiment")),
    (130_497, 403, "Business account is restricted from messaging users in this country.", None),
    (130_501, 400, "Message type is not currently supported", None),
    (131_000, 500, "Something went wrong", None),
    (131_005, 403, "Access denied", None),
    (131_008, 400, "Required parameter is missing", None),
    (131_009, 400, "Parameter value is not valid", None),
    (131_016, 503, "Service unavailable", None),
    (131_021, 400, "Recipient cannot be sender", None),
    (131_026, 400, "Message undeliverable", Some("Message Undeliverable.")),
    (131_030, 400, "Recipient phone number not in allowed list", Some("Recipient phone number not in allowed list: Add recipient phone number to recipient list and try again.")),
    (131_031, 403, "Business Account locked", Some("Business Account locked.")),
    (131_037, 400, "WhatsApp provided number needs display name approval before message can be sent.", None),
    (131_042, 400, "Business eligibility payment issue", Some("Message failed to send because there were one or more errors related to your payment method.")),
    (131_045, 400, "Incorrect certificate", Some("Message failed to send due to a phone number registration error.")),
    (131_047, 400, "Re-engagement message", Some("Message failed to send because more than 24 hours have passed since the customer last replied to this number.")),
    (131_048, 429, "Spam rate limit hit", Some("Message failed to send because there are restrictions on how many messages can be sent from this phone number. This may be because too many previous messages were blocked or flagged as spam.")),
    (131_049, 400, "This message was not delivered to maintain healthy ecosystem engagement.", None),
    (131_050, 400, "Unable to deliver the message. This recipient has chosen to stop receiving marketing messages on WhatsApp from your business", None),
    (131_051, 400, "Unsupported message type", Some("Message type is not currently supported")),
    (131_052, 400, "Media download error", None),
    (131_053, 400, "Media upload error", None),
    (131_056, 429, "(Business Account, Consumer Account) pair rate limit hit", Some("Message failed to send because there were too many messages sent from this phone number to the same phone number in a short period of time.")),
    (131_057, 503, "Account in maintenance mode", None),
    (131_062, 400, "Business-scoped User ID (BSUID) recipients are not supported for this message.", None),
    (131_063, 400, "Marketing templates are disabled on this endpoint", Some("Send this template through /marketing_messages.")),
    (131_064, 400, "Account limited for template misclassification", None),
    (132_000, 400, "Number of parameters does not match the expected number of params", None),
    (132_001, 404, "Template name does not exist in the translation", None),
    (132_005, 400, "Translated text too long", None),
    (132_007, 400, "Template format character policy violated", None),
    (132_008, 400, "Template parameter is not valid", None),
    (132_012, 400, "Parameter format does not match format in the created template", None),
    (132_015, 400, "Template is paused due to low quality so it cannot be sent in a template message.", None),
    (132_016, 400, "Template has been paused too many times due to low quality and is now permanently disabled.", None),
    (132_018, 400, "There was an issue with the parameters in your template", None),
    (132_021, 400, "A template of this name already exists", None),
    (132_068, 400, "Flow is in blocked state", None),
    (132_069, 429, "Flow is in throttled state", None),
    (133_004, 503, "Server is temporarily unavailable", None),
    (133_005, 400, "Two step verification PIN mismatch", None),
    (133_006, 400, "Phone number needs to be verified before registering.", None),
    (133_010, 400, "Phone number not registered on the WhatsApp Business Platform", Some("Account not registered")),
    (133_015, 400, "Wait a few minutes before attempting to register this phone number.", None),
    (133_016, 400, "Too many attempts to register this phone number", None),
    (134_100, 400, "Only marketing messages supported", None),
    (134_101, 400, "Template still syncing", None),
    (134_102, 400, "Template unavailable for use", None),
    (134_103, 400, "Marketing Messages API not onboarded", None),
    (135_000, 400, "Generic user error", None),
    (137_000, 400, "Recipient identity key hash mismatch", None),
    (138_006, 403, "No approved call permission from the recipient", None),
    (138_009, 400, "Call permission request limit reached", None),
    (138_012, 400, "Business initiated calls limit reached", None),
    (139_200, 403, "Direct Send access blocked", None),
];
