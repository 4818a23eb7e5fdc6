#!/bin/sh
# In the container of postgres: the superuser's password becomes the one that service `secrets` has dealt.
# Only whoever may enter the container comes this way: its socket trusts, the network asks for a password.
set -eu
echo "ALTER ROLE postgres PASSWORD :'new';" | psql --quiet -U postgres -d postgres -v ON_ERROR_STOP=1 -v new="$(cat /run/sluice/password)"
echo "the superuser's password is the dealt one again"
