import { askAuthor, command, reply } from "parlor";

await command("order", { help: "Orders a pizza" }, async ({ message }) => {
  const size = await askAuthor(message, "size?");
  const topping = await askAuthor(message, "topping?");
  await reply(message, `${size.text} ${topping.text}`);
});

await command("menu", { help: "Shows the menu" }, async ({ message }) => {
  await reply(message, "pizza");
});
