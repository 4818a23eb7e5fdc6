ALTER TABLE ledger.files DROP CONSTRAINT a_file_lies_in_one_of_our_folders;
