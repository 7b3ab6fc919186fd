//! The files that `parlor init` writes, in which every key stands as a comment.

/// The configuration; `JID` stands for the address.
pub(super) const CONFIG: &str = r#"# The accounts of this host, and how it runs. Paths are relative to this file.

# data = "data"              # folder for plugins, their storage and caches
# plugins = "plugins.toml"   # which plugins there are, and what each may do
# log = "info"               # error, warn, info, debug or trace; also "info,parlor=debug"
# watch = true               # read this file and plugins.toml again whenever they are saved; else on SIGHUP alone

# [audit]
# days = 400                 # how long the record of who changed what is kept; size bounds it as well

# [web]
# listen = "127.0.0.1:8080"  # where webhooks of plugins are served, such as behind a proxy
# address = "https://bot.example.org"   # what others send them to: the proxy's address
# proxies = ["127.0.0.1"]    # the proxies that say from where a request comes
# local_files = ["192.168.1.7:5443"]    # your server's uploads, where it is in your own network
# ca_file = "web.pem"        # certificates that plugins' requests and files over the web trust beside the system's
# nat64 = true               # your network reaches IPv4 servers by addresses such as 64:ff9b::8.8.8.8
# outbound_proxy = "http://proxy.example.org:3128"   # what plugins' requests over the web go through
# outbound_proxy_resolves = false   # it looks names up, and the host checks no addresses

# [window]
# links = "page"             # links to log in to parlor web are sent for its page; or "command", or "never"

# Several hosts share their accounts by way of NATS: if one is lost, its accounts go on at the others. The same on all of them:
# [cluster]
# nats = "tls://nats.example.org:4222"   # or a list; nats://127.0.0.1:4222 without TLS on this machine
# name = "bots"                  # the name of the cluster
# key_file = "cluster.key"       # encrypts what accounts keep in NATS: `parlor cluster key` makes it
# key_command = "pass show cluster"
# key_env = "CLUSTER_KEY"        # instead of key_file
# node = "one"                   # the name of this host in it; else that of the machine
# user = "parlor"                # how it logs in at NATS; a password without a user is a token
# password_file = "nats.password"   # or password_command, or password_env
# certificate = "nats.crt"       # or by certificate
# certificate_key = "nats.key"   # its private key, which nobody else may read
# ca_file = "nats-ca.pem"        # trust these authorities for NATS in place of the system's
# replicas = 1                   # how many servers of NATS keep everything: 1, 3 or 5
# capacity = 1                   # 2 takes twice as many accounts as 1
# share_plugins = true           # a change of plugins.toml or accounts.toml on one of them counts on all
# allow_unencrypted = false      # connect to NATS on another machine without TLS

# The addresses of a domain of bots share one connection to a server that has it as a component (XEP-0114).
# [component.bots]
# domain = "bots.example.org"
# password_file = "bots.secret"   # the secret that the server has for the component
# server = "127.0.0.1:5347"       # where the server takes components; another machine needs tls = "direct"
# new_addresses = ["*@bots.example.org"]   # an address becomes an account when somebody writes to it
# new_addresses_group = "support"   # the group of these accounts
# new_addresses_from = ["example.org"]   # whose people can cause that; everybody, if left out
# new_addresses_limit = 1000      # how many accounts of the component there may be
# sleep_after = "30 min"          # addresses with nothing to do sleep until somebody writes to them

# One table for each account; "main" is a name of your choice.
[account.main]
jid = JID

# The source of the password, and never the password itself. Keep exactly one of these.
# The file holds it in its first line: umask 077; echo 'the password' > bot.password
# A command has 10 s and can ask nobody, not on a terminal either: unlock what it reads before, such as gpg-agent for pass.
password_file = "bot.password"
# password_command = "pass show bot"
# password_env = "BOT_PASSWORD"

# server = "xmpp.example.org:5222"   # if the DNS does not say where the server is
# tls = "starttls"                   # or "direct", in place of what the DNS says
# transport = "auto"                 # or "tcp", "websocket" or "bosh"; websocket_url and bosh_service_url are settings
# ca_file = "ca.pem"                 # trust these authorities, or this very certificate, in place of the system's authorities
# certificate = "bot.crt"            # log in with this in place of a password; needs the setting authentication = "external"
# certificate_key = "bot.key"        # its private key, which nobody else may read
# group = "support"                  # what [group.support] below says counts where this account says nothing
# owners = ["juliet@example.org"]    # may show, enable, disable and restart plugins from their client (ad-hoc commands)
# keep_unsent = "1 h"                # so long may a cut last for messages that were not sent to be sent after it
# channel_binding = "auto"           # or "required", or "never" if the server no longer offers it
# component = "bots"                 # in place of the password: the account is an address of that component
# allow_plain = false                # send the password as it is, inside of TLS, to a server that can do no better

# How it encrypts messages, and whose keys it trusts; `parlor keys` shows them.
# [account.main.encryption]
# omemo = true           # people can write to it encrypted
# otr = "allow"          # or "never", or "require": nothing goes out plainly; `people` has it for one person
# plain_instead = false  # answer plainly where a chat was encrypted and that is off now, instead of not at all
# trust = "blind"        # each key of a person until you verified one of theirs; or "strict": verified ones alone
# announce = true        # tell the owners when people have new keys
# trust_by_chat = false  # owners trust keys from their client, too, although the account's server could forge that
# people = { "juliet@example.org" = { otr = "require" } }  # for one person, what otr says for all

# Settings for this account alone go over those below.
# [account.main.settings]
# nickname = "bot"

# The keys that several accounts have in common. Plugins may name the group, too.
# [group.support]
# keep_unsent = "2 h"

[settings]
# A room with a password names the file, or the variable (password_env), that holds it.
# auto_join_rooms = ["lobby@conference.example.org", { jid = "den@conference.example.org", nick = "bot", password_file = "den.password" }]
# default_state = "online"   # online, chat, away, dnd, xa, offline or unavailable
# default_status_message = "Type !help"   # what people read beside that
# auto_subscribe = false     # answer a request to see this account's presence with one of our own
# whitelisted_plugins = []   # if any are named, no others run
"#;

/// The policy.
pub(super) const PLUGINS: &str = r#"# Which plugins there are, and what each may do. What is not granted here is not allowed.
#
# require_signature = true   # install nothing that none of these keys signed (minisign)
#
# [key.alice]
# public = "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3"   # the second line of alice's minisign.pub
# until = 2030-12-31                                                     # the last day on which it counts
#
# [plugin.echo]
# source = "plugins/echo.wasm"
# digest = "sha256:…"
# enabled = true
#
# [plugin.echo.grants]
# "messages.read" = ["contacts"]
# "messages.send" = ["juliet@example.org", "@example.net"]
# "contacts.read" = true
#
# [plugin.echo.settings]
# greeting = "Hello"
"#;
