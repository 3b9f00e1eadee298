//! What every account has to begin with.

use super::super::json::quoted;
use super::Template;

pub(super) fn catalogue() -> Vec<Template> {
    // Meta approves no template with a placeholder and without an example for it, and clients rely on that.
    let body = |text: &str| {
        let example = if text.contains("{{1}}") { r#","example":{"body_text":[["Ann"]]}"# } else { "" };
        format!(r#"[{{"type":"BODY","text":{}{example}}}]"#, quoted(text))
    };
    let template = |id: &str, name: &str, language: &str, category: &str, text: &str| Template {
        account: None,
        id: id.to_owned(),
        name: name.to_owned(),
        language: language.to_owned(),
        category: category.to_owned(),
        parameter_format: "POSITIONAL".to_owned(),
        components: body(text),
        correct_category: None,
        said_status: None,
    };
    vec![
        template("1387372356726601", "hello_world", "en_US", "UTILITY", "Welcome and congratulations!"),
        template("1387372356726602", "order_update", "en_US", "UTILITY", "Your order {{1}} is on its way."),
        template("1387372356726603", "promo_sale", "en_US", "MARKETING", "Hi {{1}}, our sale has begun."),
        template(
            "1387372356726604",
            "promo_sale",
            "es",
            "MARKETING",
            "Hola {{1}}, han empezado las rebajas.",
        ),
        template(
            "1387372356726605",
            "otp_code",
            "en_US",
            "AUTHENTICATION",
            "{{1}} is your verification code.",
        ),
    ]
}
