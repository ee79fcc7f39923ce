#!/bin/sh
# What the official image does at the first start: a database cluster, its user with a password from a file, and over the
# socket of a server that nobody else reaches, as that user, its database.
set -eu
if [ ! -s "$PGDATA/PG_VERSION" ]; then
    # shellcheck disable=SC2086 # several arguments
    initdb --username="$POSTGRES_USER" --pwfile="$POSTGRES_PASSWORD_FILE" $POSTGRES_INITDB_ARGS
    echo "host all all all scram-sha-256" >>"$PGDATA/pg_hba.conf"
    pg_ctl -w -o "-c listen_addresses='' -c unix_socket_directories=/var/run/postgresql" start
    PGPASSWORD=$(cat "$POSTGRES_PASSWORD_FILE") psql --no-psqlrc --no-password --set=ON_ERROR_STOP=1 \
        --username="$POSTGRES_USER" --dbname=postgres --command="CREATE DATABASE $POSTGRES_DB"
    pg_ctl -w -m fast stop
fi
exec "$@" -c listen_addresses='*' -c unix_socket_directories=/var/run/postgresql
