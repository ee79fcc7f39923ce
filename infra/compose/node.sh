#!/bin/sh
# Joins the mesh with the token that was given, and stays as its node. A node that has enrolled needs no token.
set -eu
given=/given
token=$given/token
if [ ! -x "$given" ]; then
    echo "node: uid $(id -u) may not enter $given: $(ls -ldn "$given"); chmod 755 node-given" >&2
    exit 1
fi
if [ -f "$token" ]; then
    if [ ! -r "$token" ]; then
        echo "node: uid $(id -u) may not read $token: $(ls -ln "$token"); chown 10030 node-given/token" >&2
        exit 1
    fi
    case $(ls -ln "$token") in
        ???????---*) ;;
        *) echo "node: everybody may read $token; chmod 400 node-given/token" >&2; exit 1 ;;
    esac
    exec concilium nodes join "$(cat "$token")" --listen "$NODE_LISTEN"
fi
exec concilium nodes join --listen "$NODE_LISTEN"
