// A client of MCP by others: lists the tools of `claudemesh mcp`, calls some, waits for a channel notification, and prints what
// came as JSON. Arguments: the binary, and a file that is made when the client listens.
import { writeFileSync } from "node:fs";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";

const [command, listening] = process.argv.slice(2);
const env = { ...process.env };
const transport = new StdioClientTransport({ command, args: ["mcp", "--name", "sdk", "--channel"], env });
const client = new Client({ name: "test", version: "1" });
const pushed = new Promise((done) => {
  client.fallbackNotificationHandler = async (notification) => done(notification);
});
await client.connect(transport);
const { tools } = await client.listTools();
const peers = await client.callTool({ name: "list_peers", arguments: {} });
const sent = await client.callTool({ name: "send_message", arguments: { to: "alice", text: "from an SDK" } });
const wrong = await client.callTool({ name: "send_message", arguments: { to: "nobody", text: "hi" } });
writeFileSync(listening, "");
const notification = await pushed;
const inbox = await client.callTool({ name: "check_inbox", arguments: {} });
console.log(JSON.stringify({ tools, peers, sent, wrong, notification, inbox }));
await client.close();
