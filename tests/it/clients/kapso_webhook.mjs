// A bot that gets its webhooks with @kapso/whatsapp-cloud-api, whose own check sees their signatures. Prints its port, then one JSON line for each.

import { createServer } from "node:http";
import { normalizeWebhook, verifySignature } from "@kapso/whatsapp-cloud-api/server";

const stage = JSON.parse(process.argv.at(-1));
const told = (line) => console.log(JSON.stringify(line));

const bot = createServer(async (request, response) => {
  const parts = [];
  for await (const part of request) parts.push(part);
  const rawBody = Buffer.concat(parts);
  const signatureHeader = request.headers["x-hub-signature-256"];
  const genuine = verifySignature({ appSecret: stage.secret, rawBody, signatureHeader });
  told({ kind: "signature", genuine });
  if (genuine) {
    const { messages, statuses } = normalizeWebhook(JSON.parse(rawBody.toString()));
    for (const message of messages)
      told({ kind: "message", id: message.id, sender: message.from, text: message.text?.body });
    for (const status of statuses)
      told({ kind: "status", id: status.id, status: status.status, code: status.errors?.[0]?.code ?? null });
  }
  response.writeHead(genuine ? 200 : 403).end();
});
bot.listen(0, "127.0.0.1", () => told({ port: bot.address().port }));
