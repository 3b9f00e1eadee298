// The scene that clients.rs describes, played with @kapso/whatsapp-cloud-api. Prints one JSON line for each step.

import { createHash } from "node:crypto";
import { GraphApiError, WhatsAppClient } from "@kapso/whatsapp-cloud-api";

const stage = JSON.parse(process.argv.at(-1));
const { sender: phoneNumberId, account: businessAccountId, friend } = stage;
const client = new WhatsAppClient({ baseUrl: stage.gate, accessToken: stage.token });

/** Plays one step and prints what came of it; gives its result to later steps. */
async function step(name, act) {
  const line = { step: name };
  try {
    line.result = await act();
  } catch (error) {
    if (!(error instanceof GraphApiError)) throw error;
    line.error = {
      class: error.name,
      code: error.code,
      message: error.message,
      details: error.details,
      trace: error.fbtraceId,
      status: error.httpStatus,
      transient: error.raw.error.isTransient ?? null,
      retry: error.retry.action,
    };
  }
  console.log(JSON.stringify(line));
  return line.result;
}

const { messages, media, templates } = client;
const id = async (sent) => (await sent).messages[0].id;
const text = (to, body) => id(messages.sendText({ phoneNumberId, to, body }));
const template = (to, name) =>
  id(
    messages.sendTemplate({
      phoneNumberId,
      to,
      template: {
        name,
        language: { code: "en_US" },
        components: [{ type: "body", parameters: [{ type: "text", text: "X-17" }] }],
      },
    }),
  );

async function pages() {
  const found = [];
  let after;
  do {
    const page = await templates.list({ businessAccountId, limit: 2, after });
    found.push(page.data.map((listed) => listed.name));
    after = page.paging?.next && page.paging.cursors.after;
  } while (after);
  return found;
}

const first = await step("text", () => text(friend, "Hello from kapso"));
await step("text_bare_number", () => text(friend.slice(1), "Hello again"));
await step("text_user_id", () =>
  id(messages.sendText({ phoneNumberId, recipient: stage.friend_id, body: "Hello once more" })),
);
await step("utility_template", () => template(friend, "order_update"));
await step("marketing_template", () => template(friend, "promo_sale"));
await step("buttons", () =>
  id(
    messages.sendInteractiveButtons({
      phoneNumberId,
      to: friend,
      bodyText: "Deliver today?",
      buttons: [
        { id: "y", title: "Yes" },
        { id: "n", title: "No" },
      ],
    }),
  ),
);
await step("list", () =>
  id(
    messages.sendInteractiveList({
      phoneNumberId,
      to: friend,
      bodyText: "When?",
      buttonText: "Times",
      sections: [
        {
          title: "Today",
          rows: [
            { id: "am", title: "Morning" },
            { id: "pm", title: "Evening" },
          ],
        },
      ],
    }),
  ),
);
const photo = new Blob([Buffer.from(stage.photo, "hex")], { type: "image/jpeg" });
const mediaId = await step(
  "upload",
  async () => (await media.upload({ phoneNumberId, type: "image/jpeg", file: photo, fileName: "photo.jpg" })).id,
);
await step("media_url", async () => (await media.get({ mediaId })).url);
await step("download", async () => {
  const bytes = await media.download({ mediaId, auth: "always" });
  return createHash("sha256").update(Buffer.from(bytes)).digest("hex");
});
await step("image_by_id", () =>
  id(messages.sendImage({ phoneNumberId, to: friend, image: { id: mediaId, caption: "A photo" } })),
);
await step("image_by_link", () =>
  id(messages.sendImage({ phoneNumberId, to: friend, image: { link: "https://acme.example/photo.jpg" } })),
);
await step("reaction", () =>
  id(messages.sendReaction({ phoneNumberId, to: friend, reaction: { messageId: first, emoji: "👍" } })),
);
await step("location", () =>
  id(
    messages.sendLocation({
      phoneNumberId,
      to: friend,
      location: { latitude: 52.52, longitude: 13.405, name: "Berlin" },
    }),
  ),
);
await step("contacts", () =>
  id(
    messages.sendContacts({
      phoneNumberId,
      to: friend,
      contacts: [
        {
          name: { formattedName: "Acme Support", firstName: "Acme" },
          phones: [{ phone: "+15550783881", type: "WORK" }],
        },
      ],
    }),
  ),
);
await step("read", async () => (await messages.markRead({ phoneNumberId, messageId: first })).success);
await step(
  "typing",
  async () => (await messages.markRead({ phoneNumberId, messageId: first, typingIndicator: { type: "text" } })).success,
);
await step("templates", pages);
await step("provider_error", () => text(stage.undeliverable, "Hello?"));
await step("text_to_stranger", () => text(stage.stranger, "Hello, stranger"));
await step("template_to_stranger", () => template(stage.stranger, "order_update"));
await step("image_to_stranger", () =>
  id(messages.sendImage({ phoneNumberId, to: stage.stranger, image: { id: mediaId } })),
);
await step("marketing_to_leaver", () => template(stage.leaver, "promo_sale"));
await step("utility_to_leaver", () => template(stage.leaver, "order_update"));
