"""Plugins of errbot that were written for earlier versions, and helpers of it: `python3 -m unittest discover tests/ports`."""

import unittest

import sample
import test_layer

HEAD = "from errbot import BotPlugin, botcmd\n"


class Earlier(test_layer.Case):
    async def test_an_init_that_takes_the_bot_alone_is_called(self) -> None:
        for signature, given in (("self, bot", "bot"), ("self, bot, name=None", "bot, name"), ("self, *args", "*args"), ("self", "")):
            with self.subTest(signature):
                self.setUp()
                await self.begun(test_layer.errbot(f"""
                    def __init__({signature}):
                        super().__init__({given})
                        self.actions = {{"tea": "hot"}}

                    @botcmd
                    def a(self, msg, args):
                        return self.actions["tea"]
                """))
                self.assertEqual(await self.answers("!a"), ["hot"])

    async def test_words_that_no_usage_names_come_to_the_method(self) -> None:
        host = await self.begun(test_layer.errbot("""
            @botcmd
            def a(self, msg, args):
                return f"<{args}>"
        """))
        # The host itself refuses words to a command without a usage.
        self.assertEqual(host.declared["a"]["usage"], "[TEXT]")
        self.assertEqual(await self.answers("!a b"), ["<b>"])

    async def test_a_file_whose_name_is_none_of_python_is_renamed(self) -> None:
        texts = {"a.plug": "[Core]\nName = A\nModule = chat-ops\n", "chat-ops.py": f"{HEAD}class A(BotPlugin):\n    @botcmd\n    def a(self, msg, args):\n        return 'it'\n"}
        result = sample.port(texts)
        self.assertEqual(sample.told(result, "check"), ["chat-ops.py:1 the file is called chat_ops_ported.py now"])
        await self.begun(texts)
        self.assertEqual(await self.answers("!a"), ["it"])

    def test_generators_that_end_as_before_python_3_7_are_reported(self) -> None:
        result = sample.port(test_layer.errbot("""
            @botcmd
            def a(self, msg, args):
                yield "one"
                if args:
                    raise StopIteration
                raise StopIteration()

            def __next__(self):
                raise StopIteration
        """))
        self.assertEqual([one.partition(" ")[2] for one in sample.told(result, "lacks")], ["raise StopIteration", "raise StopIteration()"])


class Helpers(test_layer.Case):
    async def test_a_share_is_drawn_as_a_bar(self) -> None:
        await self.begun(test_layer.errbot("""
            @botcmd
            def a(self, msg, args):
                from errbot.utils import drawbar
                return "|".join(drawbar(value, 4) for value in (0, 1, 2, 4)) + drawbar(1, 0)
        """))
        bars = ["[" + "█" * full + "▒" * (15 - full) + "]" for full in (0, 4, 8, 15)]
        self.assertEqual(await self.answers("!a"), ["|".join(bars) + bars[0]])


if __name__ == "__main__":
    unittest.main()
