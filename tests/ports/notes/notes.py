"""Keeps notes in a database, in the style of plugins of maubot."""

from mautrix.util.async_db import Connection, UpgradeTable
from maubot import MessageEvent, Plugin
from maubot.handlers import command, event
from mautrix.types import EventType, MessageType

upgrade_table = UpgradeTable()


@upgrade_table.register(description="Initial revision")
async def upgrade_v1(conn: Connection) -> None:
    await conn.execute("CREATE TABLE note (id INTEGER PRIMARY KEY, owner TEXT NOT NULL, text TEXT NOT NULL, UNIQUE (owner, text))")


@upgrade_table.register(description="Notes can be done")
async def upgrade_v2(conn: Connection) -> None:
    await conn.execute("ALTER TABLE note ADD COLUMN done BOOLEAN NOT NULL DEFAULT false")


class NotesBot(Plugin):
    @classmethod
    def get_db_upgrade_table(cls) -> UpgradeTable:
        return upgrade_table

    @command.new("note", help="Keeps notes", require_subcommand=True)
    async def note(self, evt: MessageEvent) -> None:
        pass

    @note.subcommand("add", help="Keeps one")
    @command.argument("text", pass_raw=True, required=True)
    async def add(self, evt: MessageEvent, text: str) -> None:
        async with self.database.acquire() as conn, conn.transaction():
            before = await conn.fetchrow("SELECT id FROM note WHERE owner = $1 AND text = $2", evt.sender, text)
            if before is None:
                await conn.execute("INSERT INTO note (owner, text) VALUES ($1, $2)", evt.sender, text)
        await evt.respond("Noted." if before is None else f"That is number {before['id']}.")

    @note.subcommand("done", help="Crosses one out")
    @command.argument("number", parser=int)
    async def done(self, evt: MessageEvent, number: int) -> None:
        await self.database.execute("UPDATE note SET done = true WHERE owner = $1 AND id = $2", evt.sender, number)
        await evt.respond("Done.")

    @note.subcommand("list", help="Lists them")
    async def list(self, evt: MessageEvent) -> None:
        rows = await self.database.fetch("SELECT id, text, done FROM note WHERE owner = $1 ORDER BY id", evt.sender)
        count = await self.database.fetchval("SELECT count(*) FROM note")
        lines = [f"{row['id']}. {row['text']}{' (done)' if row['done'] else ''}" for row in rows]
        await evt.respond("\n".join([*lines, f"{count} of all"]))

    @event.on(EventType.ROOM_MESSAGE)
    async def file(self, evt: MessageEvent) -> None:
        if evt.content.msgtype == MessageType.IMAGE:
            await evt.respond(f"{evt.content.body} has {len(await self.client.download_media(evt.content.url))} bytes")
