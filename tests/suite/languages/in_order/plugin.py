from parlor import Command, ask_author, command, reply


@command("order", help="Orders a pizza")
async def order(command: Command) -> None:
    size = await ask_author(command, "size?")
    topping = await ask_author(command, "topping?")
    await reply(command, f"{size.text} {topping.text}")


@command("menu", help="Shows the menu")
async def menu(command: Command) -> None:
    await reply(command, "pizza")
