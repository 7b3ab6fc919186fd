// The calls of chats.chat, contacts.chat, announced.chat and members.chat.

import { chats, contacts, disco, on, rooms } from "parlor";

const alice = "alice@example.org", bob = "bob@example.org", nobody = "nobody@example.org";
const garden = "garden@rooms.example.org", hall = "hall@rooms.example.org", ball = "ball@rooms.example.org";

const jids = (some: ({ jid: string } | null)[]): string => some.map((one) => one?.jid ?? "-").join(", ");

// Each gives what is to be told of it.
export const calls: Record<string, (what: string) => Promise<string | void>> = {
  async chats(what) {
    if (what === "open") {
      const opened = await chats.openMany([alice, bob]);
      return jids(opened.map((one) => (one.tag === "ok" ? one.val : null)));
    }
    if (what === "get") return `${chats.get(bob)?.jid ?? "-"}; ${jids(chats.getMany([alice, nobody]))}; ${chats.getAll().length}`;
    if (what === "show") {
      for (const show of [chats.focus, chats.show, chats.maximize, chats.minimize]) await show(bob);
      return "done";
    }
    await chats.close(bob);
    return `${(await chats.closeMany([alice])).length}`;
  },

  async contacts(what) {
    if (what === "get") {
      const known = contacts.get(alice);
      const fullname = known ? `${known.fullname} ${known.groups.join(" ")}` : "-";
      return `${fullname}; ${jids(contacts.getMany([alice, nobody]))}; ${contacts.getAll().length}`;
    }
    await contacts.rename(alice, "Al");
    await contacts.setGroups(alice, ["family", "friends"]);
    return "done";
  },

  async announce() {
    const added = await disco.ownFeaturesAdd("urn:example:news");
    return `${added} ${await disco.ownIdentitiesAdd("automation", "weather", "Weather")}`;
  },
  async announced() {
    const names = disco.ownIdentitiesGet().map(({ category, kind, name }) => `${category}/${kind} ${name ?? "-"}`);
    return `${disco.ownFeaturesGet().includes("urn:example:news")}; ${names.join(", ")}`;
  },
  async clear() {
    await disco.ownIdentitiesClear();
    return "done";
  },
  async server() {
    const server = await disco.getIdentity("server", "im", "example.org");
    const ping = await disco.supports("urn:xmpp:ping", "example.org");
    const none = await disco.supports("urn:example:none", "example.org");
    return `${server?.kind ?? "-"} ${ping.supported} ${none.supported}`;
  },

  async members(what) {
    if (what === "list") return (await rooms.affiliations(garden, "member")).map(({ jid }) => jid).join(", ") || "nobody";
    if (what === "change") {
      await rooms.setRole(garden, "bob", "visitor", "enough");
      await rooms.setAffiliation(garden, bob, "member");
    }
    if (what === "invite") await rooms.invite(garden, "carol@example.org", { reason: "come" });
    if (what === "ban") await rooms.ban(garden, bob, "spam");
    return "done";
  },

  async rooms(what) {
    if (what === "open") return `${(await rooms.openMany([hall, ball], { nick: "bot" })).length}`;
    if (what === "get") return `${rooms.get(hall)?.nick ?? "-"}; ${jids(rooms.getMany([ball, garden]))}; ${rooms.getAll().length}`;
    if (what === "show") {
      for (const show of [rooms.focus, rooms.show, rooms.maximize, rooms.minimize]) await show(hall);
      return "done";
    }
    if (what === "bookmark") {
      await rooms.setBookmark({ jid: hall, name: "The hall", autojoin: true });
      const marked = rooms.bookmarks().map(({ jid, name }) => `${jid} ${name ?? "-"}`);
      await rooms.removeBookmark(hall);
      return `${marked.join(", ")}; ${rooms.bookmarks().length}`;
    }
    await rooms.destroy(ball, "it is over");
    return `${(await rooms.closeMany([hall])).length}`;
  },
};

// contacts.chat

on("contactRequest", ({ jid }) => (jid.startsWith("carol") ? contacts.accept(jid) : contacts.deny(jid)));

// members.chat

on("roomInviteReceived", ({ room, from }) => rooms.decline(room, from, "another time"));
