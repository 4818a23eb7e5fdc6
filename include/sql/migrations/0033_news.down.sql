DROP FUNCTION ledger.note_news_of_file(), ledger.note_news_of_batch(), ledger.note_news_of_reports() CASCADE;
DROP TABLE ledger.untold;
DROP TABLE ledger.tellers;
