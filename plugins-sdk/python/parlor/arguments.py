"""Types for the hints of a command's arguments beyond Python's own, and groups of people who may give a command.

    @command("kick", help="Kicks somebody", allow=[People.role("moderator"), People.owners()])
    async def kick(command: Command, whom: Jid, why: Rest = Rest("")) -> None: ...
"""

from dataclasses import dataclass
from typing import NewType, Optional, Union

from .texts import Affiliation, Role

#: An address, such as `juliet@example.org`; in a room people may also give the nickname of an occupant whose address the room shows.
Jid = NewType("Jid", str)

#: All that is left of the text, as it was written. Only for the last argument that is not named.
Rest = NewType("Rest", str)


@dataclass(frozen=True)
class Range:
    """The bounds of a number, both included: `count: Annotated[int, Range(1, 100)]`. None: as far as the type reaches."""

    least: Union[int, float, None] = None
    most: Union[int, float, None] = None


@dataclass(frozen=True)
class Page:
    """The title of the page that an argument begins where the command is given by a form:
    `choices: Annotated[str, Page("What to choose from")]`. One line of at most 256 bytes."""

    title: str


@dataclass(frozen=True)
class People:
    """People who may give a command."""

    kind: str
    name: Optional[str] = None

    @staticmethod
    def contacts() -> "People":
        """Those whose presence the bot sees."""
        return People("Contacts")

    @staticmethod
    def owners() -> "People":
        """The owners of the bot, as the configuration names them."""
        return People("Owners")

    @staticmethod
    def group(name: str) -> "People":
        """People in this group of the roster."""
        return People("Group", name)

    @staticmethod
    def jid(jid: str) -> "People":
        """This bare JID, or all of this domain."""
        return People("Jid", jid)

    @staticmethod
    def role(role: Role) -> "People":
        """In a room, people with this role or a higher one: `participant` or `moderator`."""
        return People("Role", role)

    @staticmethod
    def affiliation(affiliation: Affiliation) -> "People":
        """In a room, people with this affiliation or a higher one: `member`, `admin` or `owner`."""
        return People("Affiliation", affiliation)
