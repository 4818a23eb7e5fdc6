DROP INDEX ledger.files_to_seal;
